"""Random changes to whole batches of pictures, on their device, with a draw of its own for each picture.

Each is an object that is called with images (B, C, H, W), uint8 or floating, and returns new ones of the same shape and
dtype. Pixels are counted, not shares of the width; degrees turn clockwise, as in torchvision.

B pictures, C channels, H height, W width.
"""

import inspect
import math

import torch
import torch.nn.functional as F
from torch import Tensor

import limits

FILLS = {"zeros": "zeros", "edge": "border", "reflect": "reflection"}  # our names -> those of grid_sample


class Augmentation:
    """Called with a batch; `index` (B,) are the pictures' places in the training set."""

    def __call__(
        self, images: Tensor, index: Tensor | None = None, epoch: int = 0, generator: torch.Generator | None = None
    ) -> Tensor:
        return self.apply(images, generator)

    def apply(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        raise NotImplementedError


class Shift(Augmentation):
    """Move each picture by up to `pixels` up or down and left or right: pad, then crop at random.

    Args:
        pixels: the largest shift, in both directions.
        fill: what comes in at the sides, "zeros", "edge" or "reflect".
    """

    def __init__(self, pixels: int, fill: str = "zeros"):
        limits.whole(0, pixels=pixels)
        self.pixels, self.fill = pixels, fill
        _fill(fill)

    def apply(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        _smaller("shift", self.pixels, images)
        options = {"generator": generator, "device": images.device}
        shifts = torch.randint(2 * self.pixels + 1, (2, len(images)), **options) - self.pixels  # rows, columns
        (rows, in_rows), (columns, in_columns) = map(self._sources, shifts, images.shape[-2:])
        places = rows[:, :, None] * images.shape[-1] + columns[:, None, :]  # (B, H, W), in a picture as a vector
        places = places.flatten(1)[:, None].expand(-1, images.shape[1], -1)
        moved = images.flatten(2).gather(2, places).view_as(images)
        if self.fill != "zeros":
            return moved
        return moved * (in_rows[:, None, :, None] & in_columns[:, None, None, :])

    def _sources(self, shifts: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Which row (or column) of a picture each row of the moved one shows, (B, length), and whether there is one."""
        wanted, last = shifts[:, None] + torch.arange(length, device=shifts.device), length - 1
        shown = last - (last - wanted.abs()).abs() if self.fill == "reflect" else wanted.clamp(0, last)
        return shown, wanted == shown


class Flip(Augmentation):
    """Show each picture in the mirror with probability one half."""

    def apply(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        draw = torch.rand(len(images), generator=generator, device=images.device) < 0.5
        return torch.where(draw[:, None, None, None], images.flip(-1), images)


class AlternatingFlip(Augmentation):
    """Show each picture in the mirror every other epoch, half of them in even epochs (Jordan 2024, Sec. 3.6).

    So two epochs in a row show every picture both ways, where random flips repeat half of the pictures as they were.
    """

    def __call__(
        self, images: Tensor, index: Tensor | None = None, epoch: int = 0, generator: torch.Generator | None = None
    ) -> Tensor:
        if index is None:
            raise ValueError("an alternating flip needs index=, the pictures' places in the training set")
        half = (index * 2_654_435_761 >> 16) & 1  # Knuth's multiplicative hash: a coin for each picture
        return torch.where(((half + epoch) % 2 == 1)[:, None, None, None], images.flip(-1), images)


class Cutout(Augmentation):
    """Cover a square of `size` x `size` pixels of each picture with the batch's mean colour (DeVries & Taylor 2017).

    The square lies within the picture.
    """

    def __init__(self, size: int):
        limits.whole(0, size=size)
        self.size = size

    def apply(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        _smaller("cutout", self.size, images)
        covered = torch.ones(len(images), 1, 1, 1, dtype=torch.bool, device=images.device)
        for dim in (2, 3):
            length = images.shape[dim]
            options = {"generator": generator, "device": images.device}
            start = torch.randint(length - self.size + 1, (len(images), 1), **options)
            offset = torch.arange(length, device=images.device) - start  # (B, length)
            within = (offset >= 0) & (offset < self.size)
            covered = covered & (within[:, None, :, None] if dim == 2 else within[:, None, None, :])
        mean = images.mean((0, 2, 3), keepdim=True, dtype=torch.float32).to(images.dtype)
        return torch.where(covered, mean, images)


class Warp(Augmentation):
    """Turn, scale, shear, move and bend each picture, in one bilinear resampling.

    The affine part is torchvision's; bending moves every pixel by a smooth random field, bicubic between normal draws
    on a coarse grid (in the spirit of Simard et al. 2003).

    Args:
        rotate: largest angle, degrees.
        scale: largest change of size, as a share: 0.1 draws factors from 0.9 to 1.1.
        shear: largest angle of the horizontal shear, degrees.
        shift: largest shift, pixels, not only whole ones.
        bend: standard deviation of the smooth field at the nodes of its grid, pixels.
        nodes: that grid has `nodes` x `nodes` nodes.
        fill: what lies outside of the picture, "zeros", "edge" or "reflect".
    """

    def __init__(
        self,
        rotate: float = 0.0,
        scale: float = 0.0,
        shear: float = 0.0,
        shift: float = 0.0,
        bend: float = 0.0,
        nodes: int = 4,
        fill: str = "zeros",
    ):
        limits.number("[0, 360]", rotate=rotate)
        limits.number("[0, 1)", scale=scale)
        limits.number("[0, 89]", shear=shear)
        limits.number("[0, inf)", shift=shift, bend=bend)
        limits.whole(2, nodes=nodes)
        self.rotate, self.scale, self.shear, self.shift = rotate, scale, shear, shift
        self.bend, self.nodes = bend, nodes
        self.padding_mode = _fill(fill)

    def apply(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        for name in ("shift", "bend"):
            _smaller(f"warp: {name}", getattr(self, name), images)
        if self.bend and self.nodes > max(images.shape[-2:]):
            raise ValueError(f"warp: nodes={self.nodes} is more than the pixels of pictures of {_size(images)}")
        options = {"generator": generator, "device": images.device}
        draws = 2 * torch.rand(5, len(images), **options) - 1  # from -1 to 1
        angle, shear = self.rotate * draws[0], self.shear * draws[1]
        places = sampling_places(
            images.shape[-2:], angle, 1 + self.scale * draws[2], shear, self.shift * draws[3:].T
        )  # (B, H, W, 2)
        if self.bend:
            places = places + smooth_field(
                self.bend * torch.randn(len(images), 2, self.nodes, self.nodes, **options), images.shape[-2:]
            )
        return resample(images, places, self.padding_mode)


def sampling_places(size: tuple[int, int], angle: Tensor, scale: Tensor, shear: Tensor, shift: Tensor) -> Tensor:
    """Where in the source each pixel of an affinely changed picture comes from.

    A picture is sheared along x, scaled, turned about its centre, then moved. That map is p -> s R(a) S(h) p + t, with
    R = [[cos, -sin], [sin, cos]] and S = [[1, -tan h], [0, 1]]; what is returned is its inverse.

    Args:
        size: H, W.
        angle: (B,) degrees.
        scale: (B,) factors.
        shear: (B,) degrees.
        shift: (B, 2) pixels right and down.

    Returns:
        (B, H, W, 2) pixels x, y from the picture's centre.
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
    """Bicubic between nodes that span the picture from corner to corner: (B, 2, k, k) -> (B, H, W, 2)."""
    # Interpolation is linear in the nodes and separable: two small matrices do it many times faster than F.interpolate.
    basis = torch.eye(nodes.shape[-1], device=nodes.device)[:, None, :, None]  # (k, 1, k, 1)
    down, across = (
        F.interpolate(basis, (length, 1), mode="bicubic", align_corners=True)[:, 0, :, 0] for length in size
    )  # (k, H), (k, W)
    return (down.T @ nodes @ across).movedim(1, -1)


def resample(images: Tensor, places: Tensor, padding_mode: str = "zeros") -> Tensor:
    """Pictures (B, C, H, W) read at `places` (B, H, W, 2), pixels from the centre, bilinearly."""
    height, width = images.shape[-2:]
    grid = places * places.new_tensor([2 / width, 2 / height])
    pixels = images if images.is_floating_point() else images.float()
    result = F.grid_sample(pixels, grid.to(pixels.dtype), padding_mode=padding_mode, align_corners=False)
    return result if images.is_floating_point() else result.round_().clamp_(0, 255).to(images.dtype)


AUGMENTATIONS = {
    "shift": Shift,
    "flip": Flip,
    "alternating_flip": AlternatingFlip,
    "cutout": Cutout,
    "warp": Warp,
}


def build(choices: dict, shape: tuple[int, int, int] | None = None) -> list[Augmentation]:
    """Augmentations from plain values: {"shift": 2, "flip": None, "warp": {"rotate": 10}}, in that order.

    A number is the first argument, a dict holds arguments by name, None stands for no arguments. Where `shape` (C, H,
    W) is given, what does not suit such pictures is refused here.
    """
    augmentations = [_build(name, value) for name, value in choices.items()]
    if shape is not None:
        for size in shape:
            limits.whole(shape=size)
        for augmentation in augmentations:
            augmentation(
                torch.zeros(1, *shape, dtype=torch.uint8), torch.zeros(1, dtype=torch.long), 0, torch.Generator()
            )
    return augmentations


def _build(name: str, value) -> Augmentation:
    if name not in AUGMENTATIONS:
        raise ValueError(f"augmentation {name!r} is unknown; use some of {', '.join(AUGMENTATIONS)}")
    parameters = inspect.signature(AUGMENTATIONS[name]).parameters
    if value is None:
        value = {}
    elif not isinstance(value, dict):
        value = {next(iter(parameters), "value"): value}
    has = f"it has {', '.join(parameters)}" if parameters else "it takes no arguments"
    unknown = [argument for argument in value if argument not in parameters]
    if unknown:
        raise ValueError(f"augmentation {name!r} has no argument {', '.join(unknown)}; {has}")
    missing = [p.name for p in parameters.values() if p.default is p.empty and p.name not in value]
    if missing:
        raise ValueError(f"augmentation {name!r} needs {', '.join(missing)}")
    try:
        return AUGMENTATIONS[name](**value)
    except ValueError as error:
        raise ValueError(f"augmentation {name!r}: {error}") from error


def _smaller(what: str, pixels: float, images: Tensor) -> None:
    if pixels and pixels >= min(images.shape[-2:]):
        raise ValueError(f"{what} of {pixels} pixels leaves nothing of pictures of {_size(images)}; give less")


def _size(images: Tensor) -> str:
    return " x ".join(map(str, images.shape[-2:]))


def _fill(name: str) -> str:
    if name not in FILLS:
        raise ValueError(f"fill={name!r} is unknown; use one of {', '.join(FILLS)}")
    return FILLS[name]
