"""Progressive resizing: small images first, whole ones at the end (Howard 2018, "Training Imagenet in 3 hours").

B batch, C channels, H height, W width.
"""

import math

import torch.nn.functional as F
from torch import Tensor

from limits import number, whole


class ProgressiveResizing:
    """For the first `share` of all steps, images are `size` pixels high and wide.

    A training without an end has no small images.

    Args:
        size: height and width of the images at first.
        share: of all steps, from 0 to less than 1: the end needs whole images.
    """

    def __init__(self, size: int, share: float):
        whole(size=size)
        number("[0, 1)", share=share)
        self.size, self.share = size, share

    def __call__(self, images: Tensor, step: int, total: float) -> Tensor:
        """The images (B, C, H, W) for a step, from 0, of `total` steps, which is infinite where nothing ends them."""
        return resized(images, self.size) if math.isfinite(total) and step < self.share * total else images


def resized(images: Tensor, size: int) -> Tensor:
    """(B, C, H, W) -> (B, C, size, size), bilinear, smoothed before it shrinks."""
    whole(size=size)
    small = F.interpolate(images.float(), [size] * 2, mode="bilinear", antialias=True)  # not implemented for bfloat16
    return small.to(images.dtype)
