"""The shape of an image that a network takes or draws."""

from collections.abc import Sequence

from limits import whole


def image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """C, H, W, checked. Raises ValueError for anything but three whole numbers from 1 to 4096."""
    if len(shape) != 3:
        raise ValueError(f"shape={list(shape)} must be three numbers: channels, height and width of an image")
    channels, height, width = shape
    for value in shape:
        whole(1, 2**12, shape=value)
    return channels, height, width
