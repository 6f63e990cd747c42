"""Tensors as images of Pillow, which writes them to files.

C channels, H height, W width.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def pillow_image(image: Tensor) -> Image.Image:
    """(C, H, W) uint8 of one channel, grey, or three, red, green and blue. Raises ValueError for other tensors."""
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ValueError(f"an image must be (1, H, W) or (3, H, W) uint8; got {image.dtype} of {tuple(image.shape)}")
    pixels = np.ascontiguousarray(image.detach().cpu().permute(1, 2, 0).numpy())  # (H, W, C)
    return Image.fromarray(pixels[..., 0] if image.shape[0] == 1 else pixels)
