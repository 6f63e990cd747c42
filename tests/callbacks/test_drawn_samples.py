"""The same samples each time, whatever the batches, and each drawn once."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from callbacks import drawn_samples as module
from callbacks.drawn_samples import drawn_samples
from datamodules import cache
from lightning_modules.ddpm import DDPM
from lightning_modules.gan import GAN
from networks.unet2d import UNet2D
from tests.lightning_modules.test_gan import TINY

LABELS = torch.arange(20) % 3


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(module, "BATCH", 8)


class Counting(GAN):
    """Notes which noise it was asked for."""

    def __init__(self, shift=0):
        torch.manual_seed(0)
        super().__init__(**TINY)
        self.eval()
        self.shift, self.asked = shift, 0

    def sample(self, labels, generator=None, **options):
        self.asked += len(labels)
        return super().sample(labels, generator, **options) + self.shift


def test_kept_samples_are_read_and_not_drawn_again(tmp_path):
    model = Counting()
    first = drawn_samples(model, LABELS)
    assert model.asked == 20
    assert torch.equal(drawn_samples(model, LABELS), first)
    assert model.asked == 28  # the first batch alone
    (folder,) = (tmp_path / "cache").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["1.safetensors", "2.safetensors"]


def test_what_was_interrupted_goes_on_where_it_was(monkeypatch):
    whole = drawn_samples(Counting(), LABELS)
    for path in cache.folder().rglob("*.safetensors"):
        path.unlink()
    model, sample = Counting(), Counting.sample

    def stops(self, labels, **options):
        if self.asked == 16:
            raise KeyboardInterrupt
        return sample(self, labels, **options)

    monkeypatch.setattr(Counting, "sample", stops)
    with pytest.raises(KeyboardInterrupt):
        drawn_samples(model, LABELS)
    monkeypatch.setattr(Counting, "sample", sample)
    model.asked = 0
    assert torch.equal(drawn_samples(model, LABELS), whole)
    assert model.asked == 8 + 4


@pytest.mark.parametrize("change", ["model", "seed", "labels"])
def test_other_weights_seeds_and_classes_are_drawn_anew(change):
    drawn_samples(Counting(), LABELS)
    model = Counting(shift=1 if change == "model" else 0)
    labels = LABELS.clone()
    if change == "labels":
        labels[-1] = 0  # not in the first batch
    drawn_samples(model, labels, seed=int(change == "seed"))
    assert model.asked == 20


@pytest.mark.parametrize("kind", ["gan", "ddpm"])
def test_each_image_is_the_same_in_batches_of_any_size(kind, monkeypatch):
    """Up to rounding: seven of twenty at once, or all."""
    torch.manual_seed(0)
    network = partial(UNet2D, widths=[64], attention=0)
    model = GAN(**TINY) if kind == "gan" else DDPM(network, [3, 8, 8], 3, sampling_steps=2)
    for parameter in model.parameters():  # untrained weights draw grey
        parameter.data += 0.3 * torch.randn(parameter.shape)
    drawn = []
    for batch in (7, 20, 250):
        monkeypatch.setattr(module, "BATCH", batch)
        drawn.append(drawn_samples(model.eval(), LABELS).int())
    assert (drawn[0][0] - drawn[0][3]).abs().max() > 10  # of one class, and not the same
    for other in drawn[1:]:
        assert (other - drawn[0]).abs().max() <= 1


def test_a_long_drawing_says_how_long(monkeypatch, capsys):
    clock = iter([0.0, 600.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    drawn_samples(Counting(), LABELS)
    assert "drawing 12 samples: about 20 minutes" in capsys.readouterr().out


def test_a_long_rest_says_how_much_is_there(monkeypatch, capsys):
    drawn_samples(Counting(), LABELS)
    assert "drawing 12" not in capsys.readouterr().out
    next(cache.folder().rglob("1.safetensors")).unlink()
    clock = iter([0.0, 600.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    drawn_samples(Counting(), LABELS)
    assert "drawing 8 samples, of 12; the others were drawn before: about 10 minutes" in capsys.readouterr().out
