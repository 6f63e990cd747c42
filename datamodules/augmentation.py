"""Random changes to whole batches of images, on their device, drawn separately for each image.

In a config, in the order in which they act:

    augment:
      - HorizontalFlip
      - class_path: Shift
        init_args: {pixels: 4, fill: reflect}

One of your own is a subclass of `Augmentation`, named by its full path. torchvision's transforms draw once for a whole
batch, and would have to be called image by image, which is many times slower on a CPU (`benchmarks.image_pipeline`).

Pixels are counted, not shares of the width; degrees turn clockwise, as in torchvision.

B images, C channels, H height, W width.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

import limits

Fill = Literal["zeros", "edge", "reflect"]  # what lies outside of an image: black, its last pixel, its mirror image


class Augmentation(ABC):
    """Changes images (B, C, H, W), uint8 or floating, to new ones of the same shape and dtype."""

    def __call__(
        self, images: Tensor, index: Tensor | None = None, epoch: int = 0, generator: torch.Generator | None = None
    ) -> Tensor:
        """The changed images.

        Args:
            images: (B, C, H, W).
            index: (B,) their places in the training set.
            epoch: from 0.
            generator: to draw from; without it torch's global one.
        """
        return self.apply(images, index, epoch, generator)

    @abstractmethod
    def apply(self, images: Tensor, index: Tensor | None, epoch: int, generator: torch.Generator | None) -> Tensor:
        """What a subclass does when it is called."""


class HorizontalFlip(Augmentation):
    """Show the mirror image of each image with probability one half."""

    def apply(self, images: Tensor, index: Tensor | None, epoch: int, generator: torch.Generator | None) -> Tensor:
        draw = torch.rand(len(images), generator=generator, device=images.device) < 0.5
        return torch.where(draw[:, None, None, None], images.flip(-1), images)


class AlternatingFlip(Augmentation):
    """Show the mirror image of each image every other epoch, of half of them in even epochs (Jordan 2024, Sec. 3.6).

    So two epochs in a row show every image both ways, where random flips repeat half of the images as they were. It
    draws nothing, and needs `index`.
    """

    def apply(self, images: Tensor, index: Tensor | None, epoch: int, generator: torch.Generator | None) -> Tensor:
        if index is None:
            raise ValueError("an alternating flip needs index=, the images' places in the training set")
        half = (index * 2_654_435_761 >> 16) & 1  # Knuth's multiplicative hash: a coin for each image
        return torch.where(((half + epoch) % 2 == 1)[:, None, None, None], images.flip(-1), images)


class Shift(Augmentation):
    """Move each image by up to `pixels` up or down and left or right: pad, then crop at random.

    Args:
        pixels: the largest shift, in both directions.
        fill: what comes in at the sides.
    """

    def __init__(self, pixels: int, fill: Fill = "zeros"):
        limits.whole(0, pixels=pixels)
        _check_fill(fill)
        self.pixels, self.fill = pixels, fill

    def apply(self, images: Tensor, index: Tensor | None, epoch: int, generator: torch.Generator | None) -> Tensor:
        _check_size(self, "pixels", images)
        options: dict[str, Any] = {"generator": generator, "device": images.device}
        shifts = torch.randint(2 * self.pixels + 1, (2, len(images)), **options) - self.pixels  # rows, columns
        (rows, in_rows), (columns, in_columns) = map(self._sources, shifts, images.shape[-2:])
        places = rows[:, :, None] * images.shape[-1] + columns[:, None, :]  # (B, H, W), in an image as a vector
        places = places.flatten(1)[:, None].expand(-1, images.shape[1], -1)
        moved = images.flatten(2).gather(2, places).view_as(images)
        if self.fill != "zeros":
            return moved
        return moved * (in_rows[:, None, :, None] & in_columns[:, None, None, :])

    def _sources(self, shifts: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Which row (or column) of an image each row of the moved one shows, (B, length), and whether there is one."""
        wanted, last = shifts[:, None] + torch.arange(length, device=shifts.device), length - 1
        shown = last - (last - wanted.abs()).abs() if self.fill == "reflect" else wanted.clamp(0, last)
        return shown, wanted == shown


class Cutout(Augmentation):
    """Cover a square of `size` x `size` pixels of each image with the batch's mean colour (DeVries & Taylor 2017).

    The square lies within the image.
    """

    def __init__(self, size: int):
        limits.whole(0, size=size)
        self.size = size

    def apply(self, images: Tensor, index: Tensor | None, epoch: int, generator: torch.Generator | None) -> Tensor:
        _check_size(self, "size", images)
        covered = torch.ones(len(images), 1, 1, 1, dtype=torch.bool, device=images.device)
        for dim in (2, 3):
            length = images.shape[dim]
            options: dict[str, Any] = {"generator": generator, "device": images.device}
            start = torch.randint(length - self.size + 1, (len(images), 1), **options)
            offset = torch.arange(length, device=images.device) - start  # (B, length)
            within = (offset >= 0) & (offset < self.size)
            covered = covered & (within[:, None, :, None] if dim == 2 else within[:, None, None, :])
        mean = images.mean((0, 2, 3), keepdim=True, dtype=torch.float32).to(images.dtype)
        return torch.where(covered, mean, images)


class Warp(Augmentation):
    """Turn, scale, shear, move and bend each image, in one bilinear resampling.

    The affine part is torchvision's; bending moves every pixel by a smooth random field, bicubic between normal draws
    on a coarse grid (in the spirit of Simard et al. 2003).

    Args:
        rotate: largest angle, degrees.
        scale: largest change of size, as a share: 0.1 draws factors from 0.9 to 1.1.
        shear: largest angle of the horizontal shear, degrees.
        shift: largest shift, pixels, not only whole ones.
        bend: standard deviation of the smooth field at the nodes of its grid, pixels.
        nodes: that grid has `nodes` x `nodes` nodes.
        fill: what lies outside of the image.
    """

    def __init__(
        self,
        rotate: float = 0.0,
        scale: float = 0.0,
        shear: float = 0.0,
        shift: float = 0.0,
        bend: float = 0.0,
        nodes: int = 4,
        fill: Fill = "zeros",
    ):
        limits.number("[0, 360]", rotate=rotate)
        limits.number("[0, 1)", scale=scale)
        limits.number("[0, 89]", shear=shear)
        limits.number("[0, inf)", shift=shift, bend=bend)
        limits.whole(2, nodes=nodes)
        _check_fill(fill)
        self.rotate, self.scale, self.shear, self.shift = rotate, scale, shear, shift
        self.bend, self.nodes, self.fill = bend, nodes, fill

    def apply(self, images: Tensor, index: Tensor | None, epoch: int, generator: torch.Generator | None) -> Tensor:
        for name in ("shift", "bend"):
            _check_size(self, name, images)
        if self.bend and self.nodes > max(images.shape[-2:]):
            raise ValueError(f"Warp: nodes={self.nodes} is more than the pixels of images of {_size(images)}")
        options: dict[str, Any] = {"generator": generator, "device": images.device}
        height, width = images.shape[-2:]
        draws = 2 * torch.rand(5, len(images), **options) - 1  # from -1 to 1
        angle, shear = self.rotate * draws[0], self.shear * draws[1]
        places = sampling_places(
            (height, width), angle, 1 + self.scale * draws[2], shear, self.shift * draws[3:].T
        )  # (B, H, W, 2)
        if self.bend:
            places = places + smooth_field(
                self.bend * torch.randn(len(images), 2, self.nodes, self.nodes, **options), (height, width)
            )
        return resample(images, places, self.fill)


def sampling_places(size: tuple[int, int], angle: Tensor, scale: Tensor, shear: Tensor, shift: Tensor) -> Tensor:
    """Where in the source each pixel of an affinely changed image comes from.

    An image is sheared along x, scaled, turned about its centre, then moved. That map is p -> s R(a) S(h) p + t, with
    R = [[cos, -sin], [sin, cos]] and S = [[1, -tan h], [0, 1]]; what is returned is its inverse.

    Args:
        size: H, W.
        angle: (B,) degrees.
        scale: (B,) factors.
        shear: (B,) degrees.
        shift: (B, 2) pixels right and down.

    Returns:
        (B, H, W, 2) pixels x, y from the image's centre.
    """
    (height, width), device = size, angle.device
    across = torch.arange(width, device=device) - (width - 1) / 2
    down = torch.arange(height, device=device) - (height - 1) / 2
    x, y = across - shift[:, 0, None, None], down[:, None] - shift[:, 1, None, None]  # (B, 1, W), (B, H, 1)
    angle, tangent = angle * math.pi / 180, (shear * math.pi / 180).tan()
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    turned_x, turned_y = cos * x + sin * y, cos * y - sin * x  # R(-a)
    places = torch.stack([turned_x + tangent[:, None, None] * turned_y, turned_y], -1)
    return places / scale[:, None, None, None]


def smooth_field(nodes: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic between nodes that span the image from corner to corner: (B, 2, k, k) -> (B, H, W, 2)."""
    # Interpolation is linear in the nodes and separable: two small matrices do it many times faster than F.interpolate.
    basis = torch.eye(nodes.shape[-1], device=nodes.device)[:, None, :, None]  # (k, 1, k, 1)
    down, across = (
        F.interpolate(basis, (length, 1), mode="bicubic", align_corners=True)[:, 0, :, 0] for length in size
    )  # (k, H), (k, W)
    return (down.T @ nodes @ across).movedim(1, -1)


def resample(images: Tensor, places: Tensor, fill: Fill = "zeros") -> Tensor:
    """Images (B, C, H, W) read at `places` (B, H, W, 2), pixels from the centre, bilinearly."""
    height, width = images.shape[-2:]
    # Filled on the device: a tensor made of Python's numbers would be copied there, and the copy waits for all work.
    grid = places * torch.cat([places.new_full((1,), 2 / length) for length in (width, height)])
    pixels = images if images.is_floating_point() else images.float()
    padding_mode = {"zeros": "zeros", "edge": "border", "reflect": "reflection"}[fill]  # as torch calls them
    result = F.grid_sample(pixels, grid.to(pixels.dtype), padding_mode=padding_mode, align_corners=False)
    return result if images.is_floating_point() else result.round_().clamp_(0, 255).to(images.dtype)


def check(augmentations: Sequence[Augmentation], shape: tuple[int, int, int]) -> None:
    """Raises ValueError where one is not an `Augmentation`, or does not suit images of that shape (C, H, W).

    Each is tried on one image, with a generator of its own.
    """
    for size in shape:
        limits.whole(shape=size)
    for augmentation in augmentations:
        if not isinstance(augmentation, Augmentation):
            raise ValueError(
                f"augment holds {augmentation!r:.80}; it must be a list of augmentations "
                "(datamodules.augmentation), such as [HorizontalFlip(), Shift(4)]"
            )
        augmentation(torch.zeros(1, *shape, dtype=torch.uint8), torch.zeros(1, dtype=torch.long), 0, torch.Generator())


def _check_size(augmentation: Augmentation, name: str, images: Tensor) -> None:
    pixels = getattr(augmentation, name)
    if pixels and pixels >= min(images.shape[-2:]):
        raise ValueError(
            f"{type(augmentation).__name__}: {name}={pixels!r} leaves nothing of images of {_size(images)}; give less"
        )


def _size(images: Tensor) -> str:
    return " x ".join(map(str, images.shape[-2:]))


def _check_fill(fill: Fill) -> None:
    if fill not in get_args(Fill):
        raise ValueError(f"fill={fill!r} is unknown; use one of {', '.join(get_args(Fill))}")
