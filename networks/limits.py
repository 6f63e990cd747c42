"""Numbers that must lie within limits: each check names what was given and what is allowed."""

from collections.abc import Sequence
from numbers import Integral, Real

WIDEST = 2**14  # of a layer
LARGEST = 2**12  # side of a picture, in pixels


def whole(low: int, high: int, **numbers: int) -> None:
    """Raises ValueError for the first that is no whole number from `low` to `high`."""
    for name, value in numbers.items():
        if not (isinstance(value, Integral) and low <= value <= high):
            raise ValueError(f"{name}={value} must be a whole number from {low} to {high}")


def real(low: float, high: float, **numbers: float) -> None:
    """Raises ValueError for the first that does not lie between `low` and `high`, both allowed."""
    for name, value in numbers.items():
        if not (isinstance(value, Real) and low <= value <= high):
            raise ValueError(f"{name}={value} must be at least {low:g} and at most {high:g}")


def image_shape(shape: Sequence[int]) -> None:
    """Raises ValueError where this is no C, H, W of a picture."""
    if len(shape) != 3:
        raise ValueError(f"shape={list(shape)} must be three numbers: channels, height and width of a picture")
    channels, height, width = shape
    whole(1, WIDEST, channels=channels)
    whole(1, LARGEST, height=height, width=width)
