"""Augmentation of what the discriminator sees, real and generated, with gradients through it (Zhao et al. 2020).

With few images a discriminator memorises them. Changed images on both sides prevent that, and since the generator is
trained through the same changes, its own images come out unchanged.

B batch, C channels, H height, W width.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from limits import number


class DiffAugmentation(ABC):
    """A change of images (B, C, H, W) in [-1, 1], drawn anew for each image, that gradients flow through."""

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """The changed images (B, C, H, W)."""


class Brightness(DiffAugmentation):
    """Add the same to all pixels of an image, within -`strength` to `strength`."""

    def __init__(self, strength: float = 0.5):
        number("[0, 2]", strength=strength)
        self.strength = strength

    def __call__(self, images: Tensor) -> Tensor:
        return images + _uniform(images, -self.strength, self.strength)


class Saturation(DiffAugmentation):
    """Stretch colours around each pixel's grey, by factors from 1 - `strength` to 1 + `strength`."""

    def __init__(self, strength: float = 1.0):
        number("[0, 1]", strength=strength)
        self.strength = strength

    def __call__(self, images: Tensor) -> Tensor:
        grey = images.mean(1, keepdim=True)
        return grey + (images - grey) * _uniform(images, 1 - self.strength, 1 + self.strength)


class Contrast(DiffAugmentation):
    """Stretch pixels around the image's mean, by factors from 1 - `strength` to 1 + `strength`."""

    def __init__(self, strength: float = 0.5):
        number("[0, 1]", strength=strength)
        self.strength = strength

    def __call__(self, images: Tensor) -> Tensor:
        mean = images.mean((1, 2, 3), keepdim=True)
        return mean + (images - mean) * _uniform(images, 1 - self.strength, 1 + self.strength)


class Translation(DiffAugmentation):
    """Move by up to `share` of the height and of the width, both ways; zeros come in at the sides.

    A move is a product with shifted identities from either side: it is differentiated like any other product.
    """

    def __init__(self, share: float = 0.125):
        number("[0, 1]", share=share)
        self.share = share

    def __call__(self, images: Tensor) -> Tensor:
        rows, columns = (self._shifts(images, size) for size in images.shape[2:])
        with torch.autocast(images.device.type, enabled=False):  # pixels stay what they are
            return rows.mT @ images.float() @ columns

    def _shifts(self, images: Tensor, size: int) -> Tensor:
        """(B, 1, size, size): identities moved along their rows, each by a whole number of pixels of its own."""
        most = round(self.share * size)
        moves = torch.randint(-most, most + 1, (len(images), 1, 1, 1), device=images.device)
        places = torch.arange(size, device=images.device)
        return (places[:, None] + moves == places).float()


class Cutout(DiffAugmentation):
    """Cover a square with zeros; its middle lies anywhere in the image.

    Args:
        share: side of the square, as a share of the height and of the width; Zhao et al. cover half.
    """

    def __init__(self, share: float = 0.5):
        number("[0, 1]", share=share)
        self.share = share

    def __call__(self, images: Tensor) -> Tensor:
        shown = [self._outside(images, size) for size in images.shape[2:]]
        return images * (shown[0][:, None, :, None] | shown[1][:, None, None, :])

    def _outside(self, images: Tensor, size: int) -> Tensor:
        """(B, size): which rows (or columns) the square leaves alone."""
        middle = torch.randint(size, (len(images), 1), device=images.device)
        distance = torch.arange(size, device=images.device) - middle
        half = round(self.share * size) // 2
        return (distance < -half) | (distance >= half)


class Crop(DiffAugmentation):
    """Show a part of each image as a whole one, resampled bilinearly (the crops of Szegedy et al. 2015).

    The part lies within the image. Its area is drawn evenly, and then its shape: the image's, stretched by up to
    `STRETCH` in either direction.

    Args:
        least: the smallest area, as a share of the image's.
    """

    STRETCH = 4 / 3

    def __init__(self, least: float = 0.2):
        number("(0, 1]", least=least)
        self.least = least

    def __call__(self, images: Tensor) -> Tensor:
        area = _uniform(images, self.least, 1)
        stretch = _uniform(images, -1, 1) * area.log().neg().clamp(max=math.log(self.STRETCH))  # no side is above 1
        sides = torch.cat([(area * (sign * stretch).exp()).sqrt() for sign in (1, -1)], 1).flatten(1)  # (B, 2)
        middle = (1 - sides) * torch.empty_like(sides).uniform_(-1, 1)  # (B, 2): across and down, from -1 to 1
        places = torch.cat([sides[:, :, None] * torch.eye(2, device=images.device), middle[:, :, None]], 2)
        with torch.autocast(images.device.type, enabled=False):  # pixels stay what they are
            grid = F.affine_grid(places, list(images.shape), align_corners=False)
            return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def augment(images: Tensor, augmentations: Iterable[Callable[[Tensor], Tensor]]) -> Tensor:
    """The images (B, C, H, W) after all augmentations, in their order."""
    for change in augmentations:
        images = change(images)
    return images


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    return torch.empty(len(images), 1, 1, 1, device=images.device).uniform_(low, high)
