"""The shape of an image that a network takes or draws.

B batch, C channels, H height, W width.
"""

from collections.abc import Sequence

from torch import Tensor

from limits import whole


def image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """C, H, W, checked. Raises ValueError for anything but three whole numbers from 1 to 4096."""
    if len(shape) != 3:
        raise ValueError(f"shape={list(shape)} must be three numbers: channels, height and width of an image")
    channels, height, width = shape
    for value in shape:
        whole(1, 2**12, shape=value)
    return channels, height, width


def check_images(images: Tensor, shape: Sequence[int]) -> None:
    """Raises ValueError where a batch (B, C, H, W) holds images of another shape than the model's."""
    if list(images.shape[1:]) != list(shape):
        raise ValueError(f"the model has shape={list(shape)}, its data {list(images.shape[1:])}; set both to the same")
