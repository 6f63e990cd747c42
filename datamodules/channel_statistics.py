"""Mean and standard deviation of the channels of a set of images, to normalise them by."""

import torch
from torch import Tensor

PART = 4096  # images at once: a whole set as float64 would take eight times its memory


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of (N, C, H, W) uint8 images, in [0, 1]: (C,) each.

    A channel without any variation gets a standard deviation of one grey level. Raises ValueError without any image.
    """
    if not len(images):
        raise ValueError("there are no images to measure mean and std on")
    count = images.numel() / images.shape[1]
    total, squares = images.new_zeros(2, images.shape[1], dtype=torch.float64)
    for part in images.split(PART):
        pixels = part.double() / 255
        total, squares = total + pixels.sum((0, 2, 3)), squares + pixels.square().sum((0, 2, 3))
    mean = total / count
    return mean.float(), (squares / count - mean.square()).clamp(min=1 / 255**2).sqrt().float()
