"""Train on synthetic, test on real: what a classifier learns from samples is seen on real images."""

import pytest
import torch

from benchmarks import tstr
from datamodules.images import ImageSet


def bars(count, seed, wrong=0.0):
    """Images with a bar that stands or lies, somewhere; a share of them has the other one."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    images = torch.randint(60, (count, 3, 16, 16), generator=generator)
    places = torch.randint(2, 13, (count,), generator=generator)
    other = torch.rand(count, generator=generator) < wrong
    for image, stands, place in zip(images, (labels == 1) ^ other, places.tolist(), strict=True):
        (image[:, :, place : place + 2] if stands else image[:, place : place + 2])[:] += 120
    return ImageSet(images.byte(), labels, ["lies", "stands"])


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(tstr, "WIDTHS", (16, 16))
    monkeypatch.setattr(tstr, "BATCH", 50)


def test_it_is_learned_from_right_samples_and_not_from_wrong_ones():
    test = bars(120, seed=1)
    right, half = (tstr.accuracy(bars(200, seed=0, wrong=wrong), test, epochs=6) for wrong in (0.0, 0.5))
    assert right > 0.95
    assert half < 0.75


def test_the_seed_repeats_it():
    train, test = bars(100, seed=0), bars(100, seed=1)
    found = [tstr.accuracy(train, test, seed, epochs=1) for seed in (0, 0)]
    assert found[0] == found[1]


def test_samples_are_of_the_classes_of_real_images_in_their_order(monkeypatch):
    asked = []

    def drawn(model, labels):
        asked.append(labels)
        return torch.zeros(len(labels), 3, 16, 16).byte()

    monkeypatch.setattr(tstr, "drawn_samples", drawn)
    real = bars(5, seed=0)
    made = tstr.synthetic(torch.nn.Identity(), real, 12)
    assert made.labels.tolist() == [0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1]
    assert torch.equal(asked[0], made.labels)
    assert len(made.images) == 12


def test_a_model_of_no_images_is_refused():
    with pytest.raises(ValueError, match="pusht has data of a PushT"):
        tstr.data_of("pretrained/pusht")
