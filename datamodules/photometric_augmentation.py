"""Random changes to the values of whole batches of images, not to their places, drawn separately for each image.

Strengths are drawn evenly between none and the largest. Changed values are rounded, and clipped to 0 and 255, in images
of bytes; in floating ones they are clipped to 0 and 1.

B images, C channels, H height, W width.
"""

from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import limits
from datamodules.augmentation import Augmentation

REACH = 3  # standard deviations that a blur looks to either side


class PhotometricAugmentation(Augmentation):
    """Changes values in [0, 1]."""

    def apply(self, images: Tensor, index: Tensor | None, epoch: int, generator: torch.Generator | None) -> Tensor:
        values = images if images.is_floating_point() else images.float() / 255
        changed = self.change(values, generator).clamp(0, 1)
        return changed if images.is_floating_point() else (255 * changed).round_().to(images.dtype)

    @abstractmethod
    def change(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """Images (B, C, H, W) with values in [0, 1] -> changed ones, which may exceed that."""


class Brightness(PhotometricAugmentation):
    """Multiply all values of an image by a factor from 1 - `strength` to 1 + `strength`."""

    def __init__(self, strength: float):
        limits.number("[0, 1]", strength=strength)
        self.strength = strength

    def change(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        return images * (1 + self.strength * _even(images, generator))


class Contrast(PhotometricAugmentation):
    """Stretch values around an image's mean, by a factor from 1 - `strength` to 1 + `strength`."""

    def __init__(self, strength: float):
        limits.number("[0, 1]", strength=strength)
        self.strength = strength

    def change(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        mean = images.mean((1, 2, 3), keepdim=True)
        return mean + (images - mean) * (1 + self.strength * _even(images, generator))


class GaussianNoise(PhotometricAugmentation):
    """Add normal noise to each value, with a standard deviation of up to `std` for an image; values go from 0 to 1."""

    def __init__(self, std: float):
        limits.number("[0, 1]", std=std)
        self.std = std

    def change(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        std = self.std * _even(images, generator).abs()
        return images + std * torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)


class GaussianBlur(PhotometricAugmentation):
    """Blur each image by a Gaussian with a standard deviation of up to `sigma` pixels; edges repeat outwards."""

    def __init__(self, sigma: float):
        limits.number("[0, 100]", sigma=sigma)
        self.sigma = sigma

    def change(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        if not len(images):
            return images
        reach = round(REACH * self.sigma + 0.5)
        sigma = (self.sigma * _even(images, generator).abs()).clamp(min=1e-3).flatten(1)  # (B, 1)
        offsets = torch.arange(-reach, reach + 1, device=images.device)  # (K,)
        weights = (-(offsets**2) / (2 * sigma**2)).exp()
        weights = weights / weights.sum(1, keepdim=True)  # (B, K)
        count, channels, height, width = images.shape
        rows = images.transpose(0, 1)  # (C, B, H, W): a convolution has a kernel for each of its B groups
        padded = F.pad(rows, (reach, reach, reach, reach), mode="replicate")
        across = F.conv2d(padded, weights[:, None, None, :].to(images.dtype), groups=count)
        both = F.conv2d(across, weights[:, None, :, None].to(images.dtype), groups=count)
        return both.transpose(0, 1).reshape(count, channels, height, width)


class ForSome(Augmentation):
    """Another augmentation, of some of the images, drawn anew for each batch: what is not changed costs nothing.

    Args:
        augmentation: of the chosen images.
        share: how many of a batch, as a share.
    """

    def __init__(self, augmentation: Augmentation, share: float = 0.5):
        limits.number("[0, 1]", share=share)
        self.augmentation, self.share = augmentation, share

    def apply(self, images: Tensor, index: Tensor | None, epoch: int, generator: torch.Generator | None) -> Tensor:
        order = torch.randperm(len(images), generator=generator, device=images.device)
        chosen = order[: round(self.share * len(images))]
        if not len(chosen):
            return images
        changed = self.augmentation(images[chosen], None if index is None else index[chosen], epoch, generator)
        return images.index_copy(0, chosen, changed)


def _even(images: Tensor, generator: torch.Generator | None) -> Tensor:
    """(B, 1, 1, 1) from -1 to 1."""
    options: dict[str, Any] = {"generator": generator, "device": images.device, "dtype": images.dtype}
    return 2 * torch.rand(len(images), 1, 1, 1, **options) - 1
