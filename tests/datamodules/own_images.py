"""Folders of images as people keep them, small, for tests."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture(number: int, size: tuple[int, int] = (12, 10), mode: str = "RGB") -> Image.Image:
    """An image (height, width) that no other number has."""
    pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def write_classes(place: Path, classes: dict[str, int], first: int = 0, **options) -> Path:
    """A folder with so many images of each class, each another one."""
    for name, count in classes.items():
        (place / name).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            picture(number, **options).save(place / name / f"{number}.png")
        first += count
    return place
