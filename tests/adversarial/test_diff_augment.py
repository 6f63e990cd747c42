import numpy as np
import pytest
import torch

from adversarial import diff_augment
from adversarial.diff_augment import AUGMENTATIONS, augment


def pictures(n=200, size=16):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0)) + 0.1


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_picture_has_a_draw_of_its_own(name):
    same = pictures(1).repeat(50, 1, 1, 1)
    changed = augment(same, [name])
    assert changed.shape == same.shape
    assert len(changed.flatten(1).unique(dim=0)) > 5


def test_translation_is_numpys_roll_with_zeros():
    images = pictures()
    seen = set()
    for before, after in zip(images.numpy(), augment(images, ["translation"]).numpy(), strict=True):
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
    images = pictures(400)
    covered = (augment(images, ["cutout"]) == 0).all(1)  # (B, H, W)
    for mask in covered:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns)  # a rectangle
        for side in (rows, columns):
            places = side.nonzero()[:, 0]
            assert places[-1] - places[0] + 1 == len(places)
            assert 4 <= len(places) <= 8
    assert covered.sum((1, 2)).max() == 64


def test_colours_by_numpy():
    """The factor that each picture got is read from one pixel, and then holds for all."""
    images = pictures()
    x = images.numpy().astype(np.float64)
    for name, centre, low, high in [
        ("saturation", x.mean(1, keepdims=True), 0, 2),
        ("contrast", x.mean((1, 2, 3), keepdims=True), 0.5, 1.5),
    ]:
        after = augment(images, [name]).numpy().astype(np.float64)
        spread = x - centre
        factor = ((after - centre) * spread).sum((1, 2, 3)) / (spread**2).sum((1, 2, 3))
        np.testing.assert_allclose(after, centre + spread * factor[:, None, None, None], atol=1e-5)
        assert low <= factor.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < factor.max() <= high
    added = (augment(images, ["brightness"]) - images).flatten(1)
    assert (added.amax(1) - added.amin(1)).max() < 1e-6
    assert added.min() >= -0.5
    assert added.max() <= 0.5
    assert added.std() > 0.2


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_gradients_go_through(name, monkeypatch):
    images = pictures(2, 8).double().requires_grad_()

    def call(x):
        torch.manual_seed(3)
        return augment(x, [name]).double()

    if name == "translation":  # single precision within
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
    both = augment(pictures(), ["contrast", "cutout"])
    torch.manual_seed(1)
    one = augment(augment(pictures(), ["contrast"]), ["cutout"])
    assert torch.equal(both, one)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="'blur' is unknown; use some of brightness, saturation"):
        diff_augment.check(["cutout", "blur"])
