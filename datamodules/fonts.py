"""Digits and letters drawn from fonts: image sets that need no data and no network.

    python -m datamodules.fonts letters --count 200 --side 48

writes a folder of image files with a subfolder for each letter, as `datamodules.images.Images` reads it.

The fonts are the TrueType files that Matplotlib brings along. Each image has its own font, size, place, angle and
stroke, and in colour its own ink and ground.
"""

import argparse
import io
import math
import string
from collections.abc import Iterator, Sequence
from functools import cache as memoised
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image, ImageDraw, ImageFont
from rich.progress import track
from torch import Tensor

import limits
from datamodules.encoded_images import EncodedImages

FONTS = "fonts"  # in the place of a source
SHAPE = (1, 28, 28)  # where no other is asked for
CLASS_NAMES = tuple("0123456789")
SIZES = {"train": 10_000, "test": 2_000}
SEEDS = {"train": 0, "test": 1}
OVERSAMPLING = 4  # drawn larger, then averaged: smooth edges and places between pixels
SYMBOLS = {"cmex10", "cmsy10"}  # fonts that have other signs where others have digits
DRAWING = 1  # raise it when images are drawn differently: old cache files are then left alone


class FontSource:
    """Digits drawn from fonts, always the same ones: a `datamodules.image_sources.ImageSource`.

    Args:
        shape: C, H, W that they are drawn in.
    """

    splits, class_names = tuple(SIZES), CLASS_NAMES

    def __init__(self, shape: tuple[int, int, int]):
        self.shape = shape

    def names_at_hand(self) -> Sequence[str]:
        """The digits."""
        return CLASS_NAMES

    def head(self) -> Sequence[bytes]:
        """A digit like those to train on."""
        images, _ = draw(1, self.shape, np.random.default_rng(0))
        return [_file(images[0].numpy())]

    def read(self, split: str, class_names: Sequence[str], other_names: bool = False) -> EncodedImages:
        """The digits of a split; they are drawn when the first is asked for."""
        drawn = DrawnDigits(split, self.shape)
        return EncodedImages(drawn, drawn.labels, CLASS_NAMES, FONTS, digests=drawn.digests)


class DrawnDigits(Sequence[bytes]):
    """Image files of the digits of a split. Raises ValueError for another split."""

    def __init__(self, split: str, shape: tuple[int, int, int]):
        if split not in SIZES:
            raise ValueError(f"there are no digits from fonts for the split {split!r}; use one of {', '.join(SIZES)}")
        self.split, self.shape = split, shape

    def __len__(self) -> int:
        return SIZES[self.split]

    def __getitem__(self, index: Any) -> Any:
        return self._files[index]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._files)

    @property
    def labels(self) -> Tensor:
        """(N,) int64."""
        return torch.from_numpy(_labels(len(self), len(CLASS_NAMES), self._rng()))

    @property
    def digests(self) -> list[bytes]:
        """What the drawing depends on, for each image."""
        versions = [version(package) for package in ("pillow", "matplotlib")]
        drawing = repr((DRAWING, self.split, len(self), self.shape, versions, [path.name for path in fonts()]))
        return [f"{drawing} {number}".encode() for number in range(len(self))]

    @cached_property
    def _files(self) -> list[bytes]:
        images, _ = draw(len(self), self.shape, self._rng(), f"drawing {self.split} digits")
        return [_file(image) for image in images.numpy()]

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(SEEDS[self.split])


def _image(pixels: np.ndarray) -> Image.Image:
    """Of (C, H, W) uint8."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1))


def _file(pixels: np.ndarray) -> bytes:
    """(C, H, W) uint8 as a file that loses nothing, and takes no time to write."""
    content = io.BytesIO()
    _image(pixels).save(content, "PPM")
    return content.getvalue()


def draw(
    n: int,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    progress: str | None = None,
    signs: Sequence[str] = CLASS_NAMES,
) -> tuple[Tensor, Tensor]:
    """n signs, as many of each: (n, C, H, W) uint8 and (n,) int64, which sign each is.

    Args:
        n: how many.
        shape: C, H, W.
        rng: draws fonts, sizes, places, angles, strokes and colours.
        progress: names the progress bar, if any.
        signs: digits, or letters.
    """
    limits.whole(n=n)
    for low, size in zip((1, 2, 2), shape, strict=True):  # no font is smaller
        limits.whole(low, shape=size)
    channels, height, width = shape
    labels = _labels(n, len(signs), rng)
    quiet = progress is None or rank_zero_only.rank != 0  # type: ignore[attr-defined]  # set by Lightning
    ink = np.stack(
        [
            _ink(signs[label], height, width, rng)
            for label in track(labels, progress or "", transient=True, disable=quiet)
        ]
    )  # (n, H, W), 0 ground to 1 ink
    ground, colour = _colours(n, channels, rng)  # (n, C)
    images = ground[:, :, None, None] + (colour - ground)[:, :, None, None] * ink[:, None]
    return torch.from_numpy(images.round().astype(np.uint8)), torch.from_numpy(labels)


def _labels(n: int, signs: int, rng: np.random.Generator) -> np.ndarray:
    """Which sign each image shows: (n,) int64."""
    return rng.permutation(np.arange(n, dtype=np.int64) % signs)


def _ink(sign: str, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """One sign somewhere near the middle: (H, W) in [0, 1]."""
    side = OVERSAMPLING * min(height, width)
    font = _font(fonts()[rng.integers(len(fonts()))], round(side * rng.uniform(0.7, 1.0) / 8) * 8)
    stroke = int(rng.integers(0, side // 40 + 1))
    canvas = Image.new("L", (OVERSAMPLING * width, OVERSAMPLING * height))
    place = np.array(canvas.size) / 2 + rng.uniform(-0.06, 0.06, 2) * side
    pen = ImageDraw.Draw(canvas)
    # The middle of the sign's own box, not of the line it would stand on.
    left, top, right, bottom = pen.textbbox((0, 0), sign, font=font, stroke_width=stroke)
    corner = place - [(left + right) / 2, (top + bottom) / 2]
    pen.text(tuple(corner), sign, fill=255, font=font, stroke_width=stroke)
    canvas = canvas.rotate(rng.normal(0, 8), Image.Resampling.BILINEAR, center=tuple(place))
    return np.asarray(canvas.reduce(OVERSAMPLING), np.float32) / 255


def _colours(n: int, channels: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ground and ink, (n, C) each: white on black in grey, at least 100 of 255 apart in colour."""
    if channels == 1:
        return np.zeros((n, 1), np.float32), np.full((n, 1), 255, np.float32)
    ground = rng.uniform(0, 255, (n, channels))
    direction = rng.normal(size=(n, channels))
    direction *= np.where((direction * (127.5 - ground)).sum(1, keepdims=True) < 0, -1, 1)  # towards the middle
    distance = rng.uniform(100, 200, (n, 1)) * math.sqrt(channels)
    ink = ground + direction / np.linalg.norm(direction, axis=1, keepdims=True) * distance
    return ground.astype(np.float32), ink.clip(0, 255).astype(np.float32)


@memoised
def fonts() -> tuple[Path, ...]:
    """Matplotlib's fonts that have digits."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return tuple(path for path in sorted(folder.glob("*.ttf")) if path.stem not in SYMBOLS and _has_digits(path))


def _has_digits(path: Path) -> bool:
    """A font answers every character that it lacks with the same box."""
    font = _font(path, 32)
    return len({bytes(font.getmask(digit)) for digit in CLASS_NAMES}) == len(CLASS_NAMES)


@memoised
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


def write_letters(folder: Path, count: int = 200, side: int = 48, channels: int = 1, seed: int = 0) -> None:
    """26 folders, A to Z, with `count` PNG files each of `side` x `side` pixels.

    Raises ValueError where the folder is there already.
    """
    limits.whole(count=count)
    limits.whole(0, 2**32 - 1, seed=seed)
    if folder.exists():
        raise ValueError(f"{folder} is there already; name another folder")
    letters = string.ascii_uppercase
    images, labels = draw(
        26 * count, (channels, side, side), np.random.default_rng(seed), f"drawing {folder}", signs=letters
    )
    for number, (image, label) in enumerate(zip(images.numpy(), labels.tolist(), strict=True)):
        below = folder / letters[label]
        below.mkdir(parents=True, exist_ok=True)
        _image(image).save(below / f"{number:05}.png")


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(prog="python -m datamodules.fonts", description="Write letters as image files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=200, help="images of each letter")
    parser.add_argument("--side", type=int, default=48, help="height and width, pixels")
    parser.add_argument("--channels", type=int, default=1, choices=(1, 3), help="1 for grey, 3 for colour")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    try:
        write_letters(**vars(given))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
