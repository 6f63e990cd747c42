"""A user's own images, of any size and format, made to fit a classifier.

N images, B of a batch, C channels, H height, W width.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from datamodules.device_resident import ResidentSet, index_on
from datamodules.image_folder import printable
from datamodules.image_reader import fit_image, read_image


class ImageFiles(ResidentSet):
    """Images and the files they come from, a batch at a time: {"image": (B, C, H, W) uint8, "file": list of B}."""

    held = ("images",)

    def __init__(self, files: list[str], images: Tensor):
        self.files, self.images = files, images

    def __len__(self) -> int:
        return len(self.files)

    def __getitems__(self, indices: Sequence[int]) -> dict:
        image = self.images[index_on(self.images.device, indices)]
        return {"image": image, "file": [self.files[index] for index in indices]}


def read_image_files(place: str | Path, shape: tuple[int, int, int]) -> ImageFiles:
    r"""All images in a folder and the folders below it, or one file, as (N, *shape) uint8, in order of their names.

    Each is read as training images are (`datamodules.image_reader`), cropped to the middle in the proportions of
    `shape`, and resampled. Files that cannot be read are reported one by one and left out; hidden files do not count.
    Bytes of a name that are not UTF-8 are written as \xNN.

    Raises FileNotFoundError where there is no such place, ValueError where it holds no image that can be read.
    """
    place = Path(place)
    if not place.exists():
        raise FileNotFoundError(f"there is no folder or file {place}; name one that holds images, such as PNG or JPEG")
    folder = place if place.is_dir() else place.parent
    within = (Path(top, name) for top, _, names in os.walk(place) for name in names)
    found = sorted(within) if place.is_dir() else [place]
    found = [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    files, images = [], []
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    for path in track(found, f"reading {printable(place)}", transient=True, console=console):
        try:
            images.append(_fitted(path, shape))
            files.append(printable(path.relative_to(folder)))
        except (ValueError, OSError) as error:
            console.print(f"left out {printable(path)}: {error}")
    if not images:
        raise ValueError(
            f"{printable(place)} holds {len(found)} files, and none is an image that can be read (PNG, JPEG, ...)"
        )
    return ImageFiles(files, torch.from_numpy(np.stack(images)))


def _fitted(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    channels, height, width = shape
    if not path.is_file():  # a pipe would be waited for
        raise ValueError("it is no file")
    pixels = np.asarray(fit_image(read_image(path, channels), height, width))
    return np.moveaxis(pixels.reshape(height, width, channels), -1, 0)


def dark_on_light(images: Tensor) -> Tensor:
    """(N,) bool: which images (N, C, H, W) look like dark ink on light paper: most of their border is light."""
    mean = images.float().mean(1)  # (N, H, W)
    border = torch.cat([mean[:, 0], mean[:, -1], mean[:, :, 0], mean[:, :, -1]], 1)  # (N, 2 W + 2 H)
    return border.median(1).values > 127.5
