"""A user's own pictures, of any size and format, made to fit a classifier.

N pictures, C channels, H height, W width.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset

MODES = {1: "L", 3: "RGB"}  # channels -> what Pillow calls such a picture


class PictureSet(Dataset):
    """Pictures and the files they come from, a batch at a time: {"image": (B, C, H, W) uint8, "file": list of B}."""

    def __init__(self, files: list[str], images: Tensor):
        self.files, self.images = files, images

    def __len__(self) -> int:
        return len(self.files)

    def __getitems__(self, indices: list[int]) -> dict:
        return {"image": self.images[torch.as_tensor(indices)], "file": [self.files[index] for index in indices]}


def read_pictures(place: str | Path, shape: tuple[int, int, int]) -> PictureSet:
    """All pictures in a folder and the folders below it, or one file, as (N, *shape) uint8, in order of their names.

    Each is turned as its camera says, cropped to the middle in the proportions of `shape`, and resampled. Files that
    cannot be read are reported one by one and left out; hidden files do not count.

    Raises FileNotFoundError where there is no such place, ValueError where it holds no picture that can be read.
    """
    place = Path(place)
    if not place.exists():
        raise FileNotFoundError(
            f"there is no folder or file {place}; name one that holds pictures, such as PNG or JPEG"
        )
    folder = place if place.is_dir() else place.parent
    found = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
    found = [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    files, images = [], []
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    for path in track(found, f"reading {place}", transient=True, console=console):
        try:
            images.append(_fitted(path, shape))
            files.append(path.relative_to(folder).as_posix())
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # as Pillow's readers raise
            console.print(f"left out {path}: {error}")
    if not images:
        raise ValueError(f"{place} holds {len(found)} files, and none is a picture that can be read (PNG, JPEG, ...)")
    return PictureSet(files, torch.from_numpy(np.stack(images)))


def _fitted(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    channels, height, width = shape
    with Image.open(path) as picture:
        picture = ImageOps.exif_transpose(picture).convert(MODES[channels])
        pixels = np.asarray(ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS))
    return np.moveaxis(pixels.reshape(height, width, channels), -1, 0)
