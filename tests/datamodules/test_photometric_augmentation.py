"""Against torchvision, which changes one image at a time."""

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from datamodules.augmentation import HorizontalFlip
from datamodules.photometric_augmentation import Brightness, Contrast, ForSome, GaussianBlur, GaussianNoise

IMAGES = torch.rand(5, 3, 20, 16, generator=torch.Generator().manual_seed(0))
BYTES = (255 * IMAGES).byte()
CHANGES = [Brightness(0.4), Contrast(0.4), GaussianNoise(0.2), GaussianBlur(1.5), ForSome(Brightness(0.4))]


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def drawn():
    """What the changes draw for each image, from -1 to 1."""
    return 2 * torch.rand(5, 1, 1, 1, generator=generator()).flatten() - 1


def test_brightness_is_torchvisions():
    changed = Brightness(0.4)(IMAGES, generator=generator())
    for image, own, draw in zip(IMAGES, changed, drawn(), strict=True):
        assert torch.allclose(own, tv.adjust_brightness(image, 1 + 0.4 * draw.item()), atol=1e-6)


def test_contrast_of_grey_images_is_torchvisions():
    """torchvision stretches around the mean of the grey image; of a grey image that is its mean."""
    grey = IMAGES[:, :1].expand(-1, 3, -1, -1)
    changed = Contrast(0.4)(grey, generator=generator())
    for image, own, draw in zip(grey, changed, drawn(), strict=True):
        assert torch.allclose(own, tv.adjust_contrast(image, 1 + 0.4 * draw.item()), atol=1e-3)


def test_blur_is_torchvisions_away_from_the_edges():
    """torchvision mirrors what lies outside, where here edges repeat: one of 6 pixels' reach is left out."""
    changed = GaussianBlur(1.5)(IMAGES, generator=generator())
    for image, own, draw in zip(IMAGES, changed, drawn(), strict=True):
        sigma = max(1.5 * draw.abs().item(), 1e-3)
        theirs = tv.gaussian_blur(image, [11, 11], [sigma, sigma])
        assert torch.allclose(own[:, 6:-6, 6:-6], theirs[:, 6:-6, 6:-6], atol=1e-5)
    flat = torch.full((2, 3, 8, 8), 0.3)
    assert torch.allclose(GaussianBlur(1.5)(flat), flat, atol=1e-6)  # at the edges, too


def test_noise_has_each_images_deviation():
    grey = torch.full((5, 3, 200, 200), 0.5)
    changed = GaussianNoise(0.1)(grey, generator=generator())
    for own, draw in zip(changed, drawn(), strict=True):
        assert (own - 0.5).std().item() == pytest.approx(0.1 * draw.abs().item(), rel=0.02)
        assert own.mean().item() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: type(change).__name__)
def test_bytes_stay_bytes_and_floats_stay_within_0_and_1(change):
    assert change(BYTES).dtype == torch.uint8
    assert change(BYTES).shape == BYTES.shape
    floats = change(IMAGES)
    assert floats.dtype == torch.float32
    assert floats.min() >= 0
    assert floats.max() <= 1
    assert torch.equal(change(BYTES, generator=generator()), change(BYTES, generator=generator()))
    assert change(BYTES[:0]).shape == (0, 3, 20, 16)


@pytest.mark.parametrize("change", [Brightness(0), Contrast(0), GaussianNoise(0), GaussianBlur(0)])
def test_none_changes_nothing(change):
    assert torch.equal(change(BYTES), BYTES)


@pytest.mark.parametrize(("share", "changed"), [(0, 0), (0.4, 2), (1, 5)])
def test_some_are_changed_others_stay(share, changed):
    class Black(Brightness):
        def change(self, images, generator):
            return 0 * images

    given = BYTES.clamp(min=1)
    result = ForSome(Black(0.1), share)(given, torch.arange(5), 0, generator())
    black = (result == 0).flatten(1).all(1)
    assert black.sum() == changed
    assert torch.equal(result[~black], given[~black])
    ForSome(HorizontalFlip(), share)(BYTES, torch.arange(5))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Brightness(1.5), "strength=1.5"),
        (lambda: Contrast(-0.1), "strength=-0.1"),
        (lambda: GaussianNoise(2), "std=2"),
        (lambda: GaussianBlur(-1), "sigma=-1"),
        (lambda: ForSome(Brightness(0.1), 1.1), "share=1.1"),
    ],
)
def test_numbers_out_of_range_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
