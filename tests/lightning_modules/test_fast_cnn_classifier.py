from functools import partial

import lightning as L
import pytest
import torch
import torch.nn.functional as F

from datamodules.images import ImageSet
from datamodules.published_images import PublishedImages
from lightning_modules.cnn_classifier import CNNClassifier
from lightning_modules.fast_cnn_classifier import FastCNNClassifier
from optim.lr_schedule import WarmupCosine, WarmupLinear
from optim.muon_with_sgd import MuonWithSGD
from optim.parameter_groups import no_decay_on_vectors

SHAPE = [3, 24, 24]
TINY = {"shape": SHAPE, "num_classes": 3, "widths": [8, 8, 8], "lr_schedule": WarmupCosine(0)}
SLOW = partial(MuonWithSGD, bias_lr=1.0)


class Noise(PublishedImages):
    shape = tuple(SHAPE)
    class_names = ("cat", "dog", "fox")

    def __init__(self, n=48, batch_size=16):
        super().__init__("memory", batch_size=batch_size)
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(256, (n, *SHAPE), generator=generator, dtype=torch.uint8)
        self.train_set = self.val_set = self.test_set = ImageSet(images, torch.arange(n) % 3)


def filters(module):
    return [p for name, p in module.network.named_parameters() if "convs" in name]


def lengths(module):
    """Mean square of the lengths of each convolution's filters."""
    return [float(f.detach().square().sum(1).mean()) for f in filters(module)]


def fit(module, data=None, **options):
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    options = {"accelerator": "cpu", "max_epochs": 2, "num_sanity_val_steps": 0} | quiet | options
    trainer = L.Trainer(**options)
    trainer.fit(module, data or Noise())
    return trainer


@pytest.mark.parametrize("kind", [FastCNNClassifier, CNNClassifier])
def test_learns_a_batch_by_heart(kind):
    torch.manual_seed(0)
    fast = kind is FastCNNClassifier
    options = {"lr": 0.05, "optimizer": SLOW} if fast else {"lr": 0.01, "lr_schedule": WarmupCosine(0.1)}
    trainer = fit(kind(**TINY | options), Noise(n=16), max_epochs=60, check_val_every_n_epoch=60)
    assert trainer.callback_metrics["val/accuracy"] == 1


def test_images_are_small_first_and_whole_at_the_end():
    """6 steps: the first half at 16 x 16."""
    module = FastCNNClassifier(**TINY, small_size=16, small_share=0.5)
    sizes = []
    module.network.register_forward_pre_hook(
        lambda network, args: sizes.append(args[0].shape[-1]) if network.training else None
    )
    fit(module)
    assert sizes == [16] * 3 + [24] * 3


def test_a_training_without_an_end_shows_whole_images():
    module, sizes = FastCNNClassifier(**TINY, small_size=16, small_share=0.5), []
    module.network.register_forward_pre_hook(lambda network, args: sizes.append(args[0].shape[-1]))

    class Stop(L.Callback):
        def on_train_batch_end(self, trainer, *_):
            trainer.should_stop = trainer.global_step == 4

    fit(module, max_epochs=-1, limit_val_batches=0, callbacks=[Stop()])
    assert sizes == [24] * 4


def test_small_images_keep_their_colours():
    module = FastCNNClassifier(**TINY, small_size=16, small_share=0.5, mean=[0.0] * 3, std=[1.0] * 3)
    seen = []
    module.network.register_forward_pre_hook(lambda network, args: seen.append(args[0]))
    data = Noise()
    data.train_set.images[:, 0], data.train_set.images[:, 1:] = 51, 255
    fit(module, data, max_steps=1, limit_val_batches=0)
    torch.testing.assert_close(seen[0][:, 0], torch.full((16, 16, 16), 0.2))
    torch.testing.assert_close(seen[0][:, 1:], torch.ones(16, 2, 16, 16))


def test_learning_rates_fall_in_a_straight_line_where_asked():
    """Those of Muon and of SGD alike, over 6 steps."""
    left = []

    class Watch(L.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            left.append([group["lr"] / group["initial_lr"] for group in trainer.optimizers[0].param_groups])

    fit(FastCNNClassifier(**TINY | {"lr_schedule": WarmupLinear(0)}), callbacks=[Watch()])
    torch.testing.assert_close(torch.tensor(left), torch.arange(6, 0, -1)[:, None].expand(6, 3) / 6)


def test_running_statistics_follow_the_batch_as_fast_as_is_asked():
    module = FastCNNClassifier(**TINY, norm_momentum=1.0)
    images = Noise().train_set.images[:16]
    answer = module.train()(images)
    torch.testing.assert_close(module.eval()(images), answer, rtol=0.05, atol=0.05)


def test_the_first_layer_is_whitened_on_the_training_images_and_not_learned():
    module = FastCNNClassifier(**TINY)
    data = Noise()
    fit(module, data)
    expected = FastCNNClassifier(**TINY).network
    expected.whiten(module.normalised(data.train_set.images))
    torch.testing.assert_close(module.network.first_weight, expected.first_weight)
    assert module.filters() is module.network.first_weight


def test_convolutions_are_muons_and_the_rest_is_sgds():
    optimizer = partial(MuonWithSGD, weight_decay=0.01, bias_lr=2.0, head_lr=0.5)
    module = FastCNNClassifier(**TINY, lr=0.1, optimizer=optimizer)
    (joined,) = fit(module, max_steps=1).optimizers
    muon, sgd = joined.optimizers
    assert isinstance(muon, torch.optim.Muon)
    assert isinstance(sgd, torch.optim.SGD)
    assert muon.param_groups[0]["params"] == filters(module)
    biases, head = sgd.param_groups
    assert head["params"] == [module.network.head.weight]
    assert len(biases["params"]) == 6
    for group in sgd.param_groups:
        assert group["initial_lr"] * group["weight_decay"] == pytest.approx(0.01)
    every = [p for group in joined.param_groups for p in group["params"]]
    assert {id(p) for p in every} == {id(p) for p in module.parameters() if p.requires_grad}


def test_filters_have_length_one_on_average_when_a_step_is_taken():
    module = FastCNNClassifier(**TINY, lr=0.1)
    norms = []

    class Watch(L.Callback):
        def on_before_zero_grad(self, trainer, module, optimizer):  # after a step
            norms.append(lengths(module))

    fit(module, callbacks=[Watch()], max_epochs=3)
    torch.testing.assert_close(torch.tensor(norms[-1]), torch.ones(6), rtol=0.3, atol=0.0)
    still = MuonWithSGD(no_decay_on_vectors(module), lr=0.0)
    for filter_ in filters(module):
        filter_.grad = torch.zeros_like(filter_)
    still.step()
    assert lengths(module) == pytest.approx([1.0] * 6, rel=1e-5)


def test_a_step_goes_by_the_images_that_the_proxy_finds_hardest():
    """Of 16 images the 6 with the highest loss; the network's gradients are those of these alone."""
    options = {"hard_share": 0.375, "proxy_widths": [8, 8, 8], "small_size": 16, "label_smoothing": 0.1}
    module = FastCNNClassifier(**TINY, **options).train()
    module.log = lambda *_, **__: None
    batch = Noise().train_set.__getitems__(list(range(16)))
    losses = []
    for image, label in zip(batch["image"], batch["label"], strict=True):
        module.proxy.eval()
        small = F.interpolate(module.normalised(image[None]), [16, 16], mode="bilinear", antialias=True)
        log_p = module.proxy(small)[0].log_softmax(0)
        losses.append((-0.9 * log_p[label] - 0.1 * log_p.mean()).item())
    hard = module.hardest(batch)
    assert set(hard["index"].tolist()) == set(torch.tensor(losses).argsort(descending=True)[:6].tolist())

    module.training_logits = module.forward  # whole images, without a trainer
    module.training_step(batch, 0).backward()
    found = [p.grad for p in module.network.parameters() if p.requires_grad]
    assert all(p.grad.abs().sum() > 0 for p in module.proxy.parameters() if p.requires_grad)
    images, labels = batch["image"][hard["index"]], batch["label"][hard["index"]]
    loss = F.cross_entropy(module(images), labels, label_smoothing=0.1)
    expected = torch.autograd.grad(loss, [p for p in module.network.parameters() if p.requires_grad])
    torch.testing.assert_close(found, list(expected))


def test_the_proxy_learns_too_and_answers_nothing():
    torch.manual_seed(0)
    module = FastCNNClassifier(**TINY, hard_share=0.5, proxy_widths=[8, 8, 8], lr=0.05, optimizer=SLOW)
    trainer = fit(module, Noise(n=16), max_epochs=60, check_val_every_n_epoch=60)
    assert trainer.callback_metrics["train/proxy_loss"] < 0.5
    assert trainer.callback_metrics["val/accuracy"] == 1
    (joined,) = trainer.optimizers
    every = [p for group in joined.param_groups for p in group["params"]]
    assert {id(p) for p in every} == {id(p) for p in module.parameters() if p.requires_grad}
    images = Noise().test_set.images
    answer = module.eval()(images)
    for parameter in module.proxy.parameters():
        parameter.data.fill_(torch.nan)
    assert torch.equal(module(images), answer)


def test_takes_another_optimizer():
    module = FastCNNClassifier(**TINY, optimizer=torch.optim.AdamW)
    (optimizer,) = fit(module, max_steps=1).optimizers
    assert isinstance(optimizer, torch.optim.AdamW)


def test_a_checkpoint_opens_and_predicts_the_same(tmp_path):
    module = FastCNNClassifier(**TINY)
    data = Noise()
    fit(module, data).save_checkpoint(tmp_path / "last.ckpt")
    loaded = FastCNNClassifier.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True, map_location="cpu")
    images = data.test_set.images
    assert torch.equal(loaded.eval()(images), module.eval()(images))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"small_share": 1.0}, "small_share=1.0"),
        ({"hard_share": 0.0}, r"hard_share=0\.0 must be"),
        ({"depth": 0}, "depth=0 must be"),
        ({"norm_momentum": 0.0}, r"norm_momentum=0\.0 must be"),
        ({"proxy_widths": [8, 0]}, "proxy_widths=0 must be"),
        ({"widths": [8] * 5}, "too small for 5 widths: .* at least 33 pixels .* CNNClassifier takes any size"),
        ({"small_size": 12}, "small_size=12 must lie between 16 and 24"),
        ({"small_size": 32}, "small_size=32 must lie between 16 and 24"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        FastCNNClassifier(**TINY | options)
