import contextlib

import numpy as np
import pytest
import torch

from adversarial.diff_augment import (
    Brightness,
    Contrast,
    Crop,
    Cutout,
    DiffAugmentation,
    Saturation,
    Translation,
    augment,
)
from tests.datamodules.one_device import copies

EVERY = pytest.mark.parametrize("kind", [Brightness, Saturation, Contrast, Translation, Cutout, Crop])


def random_images(n=200, size=16):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0)) + 0.1


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@EVERY
def test_every_image_has_a_draw_of_its_own(kind):
    same = random_images(1).repeat(50, 1, 1, 1)
    changed = kind()(same)
    assert changed.shape == same.shape
    assert len(changed.flatten(1).unique(dim=0)) > 5


@EVERY
def test_all_of_it_is_done_where_the_images_are(kind, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())  # knows no "meta"
    images = random_images().to("meta")
    with copies() as noted:
        changed = kind()(images)
    assert not noted
    assert changed.device == images.device


def test_translation_is_numpys_roll_with_zeros():
    images = random_images()
    seen = set()
    for before, after in zip(images.numpy(), Translation()(images).numpy(), strict=True):
        found = []
        for down in range(-2, 3):
            for right in range(-2, 3):
                padded = np.pad(before, [(0, 0), (2, 2), (2, 2)])
                moved = np.roll(padded, (down, right), (1, 2))[:, 2:-2, 2:-2]
                if np.array_equal(moved, after):
                    found.append((down, right))
        seen |= set(found)
        assert len(found) == 1
    assert len(seen) == 25  # all moves of up to an eighth of 16 pixels


def test_cutout_covers_squares_that_may_stick_out():
    images = random_images(400)
    covered = (Cutout()(images) == 0).all(1)  # (B, H, W)
    for mask in covered:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns)  # a rectangle
        for side in (rows, columns):
            places = side.nonzero()[:, 0]
            assert places[-1] - places[0] + 1 == len(places)
            assert 4 <= len(places) <= 8
    assert covered.sum((1, 2)).max() == 64


def test_crops_lie_within_the_image_and_are_as_large_as_they_may_be():
    """Read from images whose values are the places of their pixels."""
    across = ((torch.arange(64) + 0.5) / 32 - 1).expand(500, 1, 64, 64)
    for least in (0.2, 0.6, 1.0):
        shown = Crop(least)(torch.cat([across, across.mT], 1))
        steps = [shown[:, 0, 0].diff()[:, 24:40].mean(1) * 32, shown[:, 1, :, 0].diff()[:, 24:40].mean(1) * 32]
        area, shape = steps[0] * steps[1], steps[0] / steps[1]
        assert least - 0.01 < area.min() <= area.max() < 1.01
        assert shape.max() < 4 / 3 + 0.02
        assert shape.min() > 3 / 4 - 0.02
        if least < 1:
            assert area.min() < least + 0.1
            assert shown.amin((0, 2, 3)).max() < -0.9  # they reach every side
            assert shown.amax((0, 2, 3)).min() > 0.9


def test_a_crop_of_the_whole_image_is_the_image(monkeypatch):
    monkeypatch.setattr(Crop, "STRETCH", 1.0)
    images = random_images(3)
    torch.testing.assert_close(Crop(1.0)(images), images)


def test_colours_by_numpy():
    """The factor that each image got is read from one pixel, and then holds for all."""
    images = random_images()
    x = images.numpy().astype(np.float64)
    for change, centre, low, high in [
        (Saturation(), x.mean(1, keepdims=True), 0, 2),
        (Saturation(0.25), x.mean(1, keepdims=True), 0.75, 1.25),
        (Contrast(), x.mean((1, 2, 3), keepdims=True), 0.5, 1.5),
        (Contrast(1.0), x.mean((1, 2, 3), keepdims=True), 0, 2),
    ]:
        after = change(images).numpy().astype(np.float64)
        spread = x - centre
        factor = ((after - centre) * spread).sum((1, 2, 3)) / (spread**2).sum((1, 2, 3))
        np.testing.assert_allclose(after, centre + spread * factor[:, None, None, None], atol=1e-5)
        assert low <= factor.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < factor.max() <= high
    for strength in (0.5, 0.1):
        added = (Brightness(strength)(images) - images).flatten(1)
        assert (added.amax(1) - added.amin(1)).max() < 1e-6
        assert added.min() >= -strength - 1e-6
        assert added.max() <= strength + 1e-6
        assert added.std() > 0.4 * strength


def test_how_far_and_how_much_are_arguments():
    image = random_images(1).repeat(300, 1, 1, 1)
    covered = (Cutout(0.25)(image) == 0).all(1).sum((1, 2))
    assert covered.max() == 4 * 4
    places = {tuple(moved[0].nonzero()[0].tolist()) for moved in Translation(0.25)(image)}
    assert places == {(down, right) for down in range(5) for right in range(5)}  # moved up or left, it begins at 0
    for without in (Brightness(0), Saturation(0), Contrast(0), Translation(0), Cutout(0)):
        torch.testing.assert_close(without(image), image)


@EVERY
def test_gradients_go_through(kind):
    images = random_images(2, 8).double().requires_grad_()

    def call(x):
        torch.manual_seed(3)
        return kind()(x).double()

    if kind in (Translation, Crop):  # single precision within
        direction = torch.randn(2, 3, 8, 8, dtype=torch.float64)
        (slope,) = torch.autograd.grad((call(images) * direction).sum(), images)
        step = torch.randn(2, 3, 8, 8, dtype=torch.float64)
        torch.testing.assert_close(
            (slope * step).sum(), (call(step) * direction).sum(), rtol=1e-5, atol=1e-5
        )  # it is linear
    else:
        assert torch.autograd.gradcheck(call, (images,))


def test_they_come_in_order():
    torch.manual_seed(1)
    both = augment(random_images(), [Contrast(), Cutout()])
    torch.manual_seed(1)
    one = Cutout()(Contrast()(random_images()))
    assert torch.equal(both, one)


def test_one_of_ones_own():
    class Negative(DiffAugmentation):
        def __call__(self, images):
            return -images

    assert torch.equal(augment(random_images(), [Negative()]), -random_images())
    with pytest.raises(TypeError, match="abstract"):
        DiffAugmentation()


@pytest.mark.parametrize("kind", [Saturation, Contrast, Translation, Cutout])
def test_strengths_beyond_their_range_are_refused(kind):
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=rf"(strength|share)={value} must be a number in \[0, 1\]"):
            kind(value)
    with pytest.raises(ValueError, match="strength=3 must be"):
        Brightness(3)
