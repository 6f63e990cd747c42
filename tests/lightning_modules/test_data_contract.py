from types import SimpleNamespace

import lightning as L
import pytest
import torch

from datamodules.images import ImageSet
from datamodules.published_images import PublishedImages
from datamodules.tokenization import number_tokenizer
from lightning_modules import data_contract


class Images(PublishedImages):
    shape = (3, 8, 6)
    class_names = ("a", "b")

    def __init__(self):
        super().__init__("memory")
        images = torch.randint(256, (9, *self.shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        self.train_set = ImageSet(images, torch.arange(9) % 2)


class Actions(L.LightningDataModule):
    def observation_statistics(self):
        return None

    action_statistics = observation_statistics

    def action_scale(self, origin):
        return torch.full((4, 1), 3.0)


class Texts(L.LightningDataModule):
    tokenizer = number_tokenizer(10)
    test_names = ("short", "long")

    @property
    def vocab_size(self):
        return self.tokenizer.get_vocab_size()


def module(data: object) -> L.LightningModule:
    made = L.LightningModule()
    made._trainer = SimpleNamespace(datamodule=data)
    return made


def test_the_data_of_a_trainer():
    data, plain = Images(), L.LightningModule()
    plain._trainer = L.Trainer(logger=False, accelerator="cpu", enable_checkpointing=False)
    assert data_contract.data_of(module(data)) is data
    assert data_contract.data_of(plain) is None  # trained on plain loaders


def test_what_image_data_offer():
    data = Images()
    mean, std = data_contract.channel_statistics(module(data))
    pixels = data.train_set.images.double() / 255
    torch.testing.assert_close(mean, pixels.mean((0, 2, 3)).float())
    torch.testing.assert_close(std, pixels.std((0, 2, 3), correction=0).float())
    first = data_contract.training_images(module(data), 4, "filters")
    assert torch.equal(first, data.train_set.images[:4])
    assert data_contract.class_names(module(data)) == ("a", "b")
    data_contract.check_image_data(module(data), (3, 8, 6), 2)
    data_contract.check_image_data(module(data), [3, 8, 6], 0)  # a model that knows no classes
    data_contract.check_image_data(module(data))


def test_what_other_data_offer():
    assert torch.equal(data_contract.demonstrations(module(Actions())).action_scale(None), torch.full((4, 1), 3.0))
    texts = module(Texts())
    assert data_contract.tokenizer(texts, Texts().vocab_size) is Texts.tokenizer
    assert [data_contract.metric_of_loader(texts, loader) for loader in range(3)] == ["short", "long", "exact_match_2"]


@pytest.mark.parametrize("data", [None, Actions()])
def test_data_that_say_nothing_are_taken_as_they_are(data):
    given = module(data)
    assert data_contract.class_names(given) is None
    data_contract.check_image_data(given, (3, 8, 6), 2)
    assert data_contract.tokenizer(given, 7) is None
    assert data_contract.metric_of_loader(given, 0) == "exact_match"


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (data_contract.channel_statistics, r"^mean and std .* channel_statistics\(\).* or give mean and std$"),
        (lambda one: data_contract.training_images(one, 5, "the filters"), r"^the filters are .* training_images\(\)"),
        (data_contract.demonstrations, r"^statistics of .* observation_statistics\(\).* or start from weights$"),
    ],
)
@pytest.mark.parametrize(("data", "given"), [(None, "plain loaders"), (Texts(), r"Texts, which has no \w+\(\)")])
def test_what_data_lack_is_refused_in_one_line(ask, words, data, given):
    with pytest.raises(ValueError, match=words) as caught:
        ask(module(data))
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=f"the data are {given}"):
        ask(module(data))


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (
            lambda: data_contract.check_image_data(module(Images()), (1, 8, 6)),
            r"shape=\[1, 8, 6\], its data \[3, 8, 6\]",
        ),
        (lambda: data_contract.check_image_data(module(Images()), None, 3), "num_classes=3, its data 2 classes"),
        (lambda: data_contract.tokenizer(module(Texts()), 99), "vocab_size=99, its data a tokenizer of 1[0-9]"),
    ],
)
def test_data_of_another_kind_are_refused(check, words):
    with pytest.raises(ValueError, match=words):
        check()
