"""Images of the Push-T world, drawn without a window library."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

import limits
from envs import t_block

BACKGROUND, WALL = "white", (211, 211, 211)
TARGET, BLOCK, POINTER = (144, 238, 144), (119, 136, 153), (65, 105, 225)
TRAIL = (255, 99, 71)
MAX_IMAGE_SIZE = 4096


def draw(
    pointer: Sequence[float] | np.ndarray, block_pose: np.ndarray, size: int, trail: np.ndarray | None = None
) -> np.ndarray:
    """The world as an image: (size, size, 3) uint8.

    `pointer` (2,) and `block_pose` (3,) in pixels of the world; `trail` (n, 2), where given, is drawn as dots: the
    actions that a policy is about to take.
    """
    limits.whole(1, MAX_IMAGE_SIZE, size=size)
    canvas = _background().copy()
    pen = ImageDraw.Draw(canvas)
    _draw_t_block(pen, block_pose, BLOCK)
    x, y = pointer
    pen.ellipse((x - 15, y - 15, x + 15, y + 15), fill=POINTER)
    if trail is not None:
        for x, y in trail:
            pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=TRAIL)
    if size != canvas.width:
        canvas = canvas.resize((size, size), Image.Resampling.BOX)
    return np.asarray(canvas)


def _draw_t_block(pen: ImageDraw.ImageDraw, pose: np.ndarray, colour: tuple[int, int, int]) -> None:
    pen.polygon([tuple(corner) for corner in t_block.corners(pose)[t_block.OUTLINE]], fill=colour)


def _background() -> Image.Image:
    canvas = Image.new("RGB", (int(t_block.WORLD), int(t_block.WORLD)), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    _draw_t_block(pen, t_block.TARGET_POSE, TARGET)
    pen.rectangle((3, 3, 508, 508), outline=WALL, width=5)
    return canvas
