"""The shape of a picture that a network takes or draws."""

from collections.abc import Sequence

from limits import whole


def image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """C, H, W; ValueError where these are none."""
    if len(shape) != 3:
        raise ValueError(f"shape={list(shape)} must be three numbers: channels, height and width of a picture")
    for value in shape:
        whole(1, 2**12, shape=value)
    return tuple(shape)
