"""Images of the Push-T world, any number at once, without a window library.

How much of a pixel a shape covers follows from the signed distance d, in pixels of the image, from the pixel's centre
to the shape's edge: clip(1/2 - d, 0, 1), exact for edges along the pixel's sides. Only the square of pixels around a
shape is looked at.

B images, S the pixels of an image's side, W those of the square around a shape.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

import limits
from envs import t_block

MAX_IMAGE_SIZE = 4096
AT_ONCE = 2**16  # pixels of the squares that are computed together: they stay in the processor's cache
POINTER_RADIUS, TRAIL_RADIUS = 15.5, 4.5
WALLS = (3.0, 509.0, 5.0)  # where they begin and end, and how thick they are
OUTLINE = 0.5  # px of the world by which the T is larger than its corners say
MIDDLE = np.array([0.0, 1.5 * t_block.UNIT])  # of the T, in its frame, and how far from there it reaches
REACH = float(np.linalg.norm(t_block.CORNERS - MIDDLE, axis=1).max()) + OUTLINE
FAR = 1e4  # px: whatever lies farther away is not seen, either


@dataclass(frozen=True)
class Colours:
    """Red, green and blue, 0 to 255: three numbers, or (B, 3) for colours of each image's own.

    Raises ValueError for others.
    """

    background: ArrayLike = (255, 255, 255)
    wall: ArrayLike = (211, 211, 211)
    target: ArrayLike = (144, 238, 144)
    block: ArrayLike = (119, 136, 153)
    pointer: ArrayLike = (65, 105, 225)
    trail: ArrayLike = (255, 99, 71)

    def __post_init__(self) -> None:
        for field in fields(self):
            given = np.asarray(getattr(self, field.name))
            if given.dtype.kind not in "iuf" or given.ndim not in (1, 2) or given.shape[-1] != 3:
                words = given.tolist() if given.size < 10 else f"shape {given.shape}"
                raise ValueError(f"{field.name}={words} must be red, green and blue: 3 numbers, or (B, 3)")
            if not ((given >= 0) & (given <= 255)).all():
                raise ValueError(f"{field.name} must lie between 0 and 255; got {given.min()} to {given.max()}")

    def _rows(self, count: int) -> dict[str, np.ndarray]:
        """By name: (1, 3), or (count, 3) where each image has its own; ValueError for those of another number."""
        colours = {field.name: np.atleast_2d(getattr(self, field.name)).astype(np.float32) for field in fields(self)}
        for name, colour in colours.items():
            if len(colour) not in (1, count):
                raise ValueError(f"{name} has the colours of {len(colour)} images, and {count} are drawn")
        return colours


PLAIN = Colours()


def draw(
    pointer: Sequence[float] | np.ndarray,
    block_pose: Sequence[float] | np.ndarray,
    size: int,
    trail: np.ndarray | None = None,
    colours: Colours = PLAIN,
) -> np.ndarray:
    """The world as images: pointers (..., 2) and poses of the block (..., 3) -> (..., size, size, 3) uint8.

    All in pixels of the world. `trail` (..., n, 2), where given, is drawn as dots, but for those that are NaN: the
    actions that a policy is about to take.
    """
    limits.whole(1, MAX_IMAGE_SIZE, size=size)
    poses = np.asarray(block_pose, np.float64)
    batch = poses.shape[:-1]
    points = np.asarray(pointer, np.float64)
    dots = np.empty((*batch, 0, 2)) if trail is None else np.nan_to_num(np.asarray(trail, np.float64), nan=FAR)
    expected = (*batch, 3), (*batch, 2), (*batch, *dots.shape[-2:-1], 2)
    if (poses.shape, points.shape, dots.shape) != expected or dots.ndim < 2:
        raise ValueError(
            "a drawing takes pointers (..., 2), poses of the block (..., 3) and, where given, a trail (..., n, 2); got "
            f"{points.shape}, {poses.shape} and {dots.shape}"
        )
    for name, given in (("pointer", points), ("block_pose", poses)):
        if not np.isfinite(given).all():
            raise ValueError(f"{name} must hold finite numbers; got {given[~np.isfinite(given)][0]}")
    poses, points = poses.reshape(-1, 3), points.reshape(-1, 2)
    dots = dots.reshape(len(poses), *dots.shape[-2:])
    images = np.empty((len(poses), size, size, 3), np.uint8)
    together = max(1, AT_ONCE // _side(REACH, size) ** 2)
    rows = colours._rows(len(poses))
    for first in range(0, len(poses), together):
        part = slice(first, first + together)
        own = {name: colour if len(colour) == 1 else colour[part] for name, colour in rows.items()}
        _draw(images[part], points[part], poses[part], dots[part], own)
    return images.reshape(*batch, size, size, 3)


def _draw(
    images: np.ndarray, points: np.ndarray, poses: np.ndarray, dots: np.ndarray, colours: dict[str, np.ndarray]
) -> None:
    walls, target = _masks(images.shape[1])
    ground = colours["background"][:, None, None]
    for mask, name in ((walls, "wall"), (target, "target")):
        ground = ground + mask[..., None] * (colours[name][:, None, None] - ground)
    images[:] = ground + np.float32(0.5)
    _paint(images, _middles(poses), REACH, _t_shape(poses[:, 2]), colours["block"])
    _paint(images, points, POINTER_RADIUS, _disc(POINTER_RADIUS), colours["pointer"])
    for k in range(dots.shape[1]):
        _paint(images, dots[:, k], TRAIL_RADIUS, _disc(TRAIL_RADIUS), colours["trail"])


# Of pixels at dx (B, 1, W) and dy (B, W, 1) px of the world from the middle of a shape, at `scale` pixels of the image
# per px of the world, the share that the shape covers: (B, W, W).
Shape = Callable[[np.ndarray, np.ndarray, np.float32], np.ndarray]


def _side(reach: float, size: int) -> int:
    """W of a shape that reaches so far (px of the world) around its middle."""
    return min(size, math.ceil(2 * reach * size / t_block.WORLD) + 2)


def _paint(images: np.ndarray, middles: np.ndarray, reach: float, shape: Shape, colour: np.ndarray) -> None:
    """A shape of one colour (1 or B, 3) into each image (B, S, S, 3), its middle at (B, 2) px of the world."""
    count, size = images.shape[:2]
    scale, side = size / t_block.WORLD, _side(reach, size)
    middles = middles.clip(-FAR, FAR)
    corners = np.clip(np.floor(middles * scale - side / 2 + 0.5), 0, size - side).astype(int)  # (B, 2) within the image
    centres = (corners[..., None] + np.arange(side) + 0.5) / scale - middles[..., None]  # (B, 2, W)
    dx, dy = centres[:, 0, None, :].astype(np.float32), centres[:, 1, :, None].astype(np.float32)
    share = shape(dx, dy, np.float32(scale))[..., None]
    windows = sliding_window_view(images, (side, side), (1, 2), writeable=True).transpose(0, 1, 2, 4, 5, 3)
    where = np.arange(count), corners[:, 1], corners[:, 0]
    below = windows[where].astype(np.float32)  # (B, W, W, 3)
    below += share * (colour[:, None, None] - below)
    below += np.float32(0.5)  # to the nearest whole number
    windows[where] = below.astype(np.uint8)


def _inside(x: np.ndarray, low: float, high: float, scale: np.float32) -> np.ndarray:
    """The share of pixels at x px of the world that lies between two parallel edges."""
    middle, half = np.float32((low + high) / 2), np.float32((high - low) / 2)
    return np.clip((half - np.abs(x - middle)) * scale + np.float32(0.5), 0, 1)


def _disc(radius: float) -> Shape:
    def shape(dx: np.ndarray, dy: np.ndarray, scale: np.float32) -> np.ndarray:
        return np.clip((np.float32(radius) - np.sqrt(dx * dx + dy * dy)) * scale + np.float32(0.5), 0, 1)

    return shape


def _middles(poses: np.ndarray) -> np.ndarray:
    """(B, 2) where the middle of the T lies."""
    x, y, angle = poses.T
    return np.stack([x - np.sin(angle) * MIDDLE[1], y + np.cos(angle) * MIDDLE[1]], -1)


def _t_shape(angles: np.ndarray) -> Shape:
    """The T turned by angles (B,): its bar, and its stem from the middle of the bar on."""
    cos, sin = (values.astype(np.float32)[:, None, None] for values in (np.cos(angles), np.sin(angles)))
    (left, top), (right, edge) = t_block.BAR[0] - OUTLINE, t_block.BAR[2] + OUTLINE
    (inner, _), (outer, bottom) = t_block.STEM[0] - OUTLINE, t_block.STEM[2] + OUTLINE

    def shape(dx: np.ndarray, dy: np.ndarray, scale: np.float32) -> np.ndarray:
        across, along = cos * dx + sin * dy, cos * dy - sin * dx + np.float32(MIDDLE[1])
        bar = _inside(across, left, right, scale) * _inside(along, top, edge, scale)
        stem = _inside(across, inner, outer, scale) * _inside(along, (top + edge) / 2, bottom, scale)
        return bar + stem - bar * stem

    return shape


@lru_cache(maxsize=4)
def _masks(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Which share of each pixel walls and target cover: (S, S) float32 each."""
    scale = np.float32(size / t_block.WORLD)
    centres = ((np.arange(size) + 0.5) * (t_block.WORLD / size)).astype(np.float32)
    first, last, thick = WALLS
    across, hole = (_inside(centres, first + inset, last - inset, scale) for inset in (0.0, thick))
    middle = _middles(t_block.TARGET_POSE[None])[0].astype(np.float32)
    dx, dy = centres[None, None, :] - middle[0], centres[None, :, None] - middle[1]
    return np.outer(across, across) - np.outer(hole, hole), _t_shape(t_block.TARGET_POSE[2:])(dx, dy, scale)[0]
