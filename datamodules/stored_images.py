"""Images that lie encoded in the rows of a Parquet file, decoded once.

N images, H height, W width.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from datamodules import cache
from datamodules.image_reader import read_image


def is_image(feature: Any) -> bool:
    """Whether a column's feature, as `datasets` has it, is of encoded images."""
    return type(feature).__name__ == "Image" or (isinstance(feature, dict) and "bytes" in feature)


def decode_images(column: pa.ChunkedArray, what: str) -> Tensor:
    """(N, 3, H, W) uint8 of a column whose rows hold {"bytes": ...}; `what` it is, for errors.

    Raises ValueError where one cannot be read, or sizes differ.
    """
    encoded: list[bytes] = [(row or {}).get("bytes") or b"" for row in column.to_pylist()]
    for number, content in enumerate(encoded):
        if not content:
            raise ValueError(f"{what}: image {number} is not in the file; write images into the Parquet file")

    def decode() -> dict[str, Tensor]:
        images = None
        for number, content in enumerate(encoded):
            try:
                image = np.asarray(read_image(content, 3))  # (H, W, 3)
            except ValueError as error:
                raise ValueError(f"{what}: image {number} cannot be read: {error}") from error
            if images is None:
                images = torch.empty(len(encoded), 3, *image.shape[:2], dtype=torch.uint8)
            if image.shape[:2] != tuple(images.shape[2:]):
                raise ValueError(
                    f"{what}: image {number} is {image.shape[1]} x {image.shape[0]}, others are "
                    f"{images.shape[3]} x {images.shape[2]}; give them one size"
                )
            images[number] = torch.from_numpy(image.copy()).permute(2, 0, 1)
        return {"images": images} if images is not None else {}

    return cache.cached(f"images-{cache.digest(encoded)}", decode)["images"]
