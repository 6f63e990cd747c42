"""What the library refuses, and how it says so."""

import math
from numbers import Real
from typing import TypeAlias

import numpy as np

LARGEST = 2**31 - 1  # entries along one axis: a larger number is a typing error
FloatDType: TypeAlias = str | type[np.floating] | np.dtype
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def float_dtype(dtype: FloatDType) -> np.dtype:
    """`dtype` as float32 or float64; ValueError for any other."""
    try:
        found = None if dtype is None else np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found not in FLOATS:  # NumPy reads None as float64
        raise ValueError(f"dtype={dtype!r} is not supported; use float32 or float64")
    return found


def float_array(name: str, x: np.ndarray, dtype: np.dtype | None = None, ndim: int | None = None) -> None:
    """ValueError unless `x` is a float array, of one dtype and number of axes where those are given."""
    if not isinstance(x, np.ndarray):
        raise ValueError(f"{name} must be a NumPy array; got {type(x).__name__}")
    if x.dtype not in FLOATS or (dtype is not None and x.dtype != dtype):
        allowed = "float32 or float64" if dtype is None else f"{dtype}, like the weights"
        raise ValueError(f"{name} has dtype {x.dtype}; it must be {allowed}: convert it with .astype")
    if ndim is not None and x.ndim != ndim:
        raise ValueError(f"{name} has shape {x.shape}; it must have {ndim} axes")


def axis(name: str, x: np.ndarray, position: int, size: int) -> None:
    """ValueError unless axis `position` of `x` has `size` entries."""
    if x.ndim < 1 or x.shape[position] != size:
        raise ValueError(f"{name} has shape {x.shape}; its axis {position} must have size {size}")


def indices(name: str, labels: np.ndarray, shape: tuple[int, ...], count: int) -> None:
    """ValueError unless `labels` are whole numbers from 0 to count-1 in an array of `shape`."""
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        found = f"dtype {labels.dtype}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise ValueError(f"{name} must be an array of integers; got {found}")
    if labels.shape != shape:
        raise ValueError(f"{name} have shape {labels.shape}; expected {shape}")
    if labels.size and not (labels.min() >= 0 and labels.max() < count):
        raise ValueError(f"{name} lie between {labels.min()} and {labels.max()}; allowed are 0 to {count - 1}")


def whole(value: object) -> bool:
    """Whether `value` is a whole number: True and False are not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def positive(**values: int) -> None:
    """ValueError unless every value is a whole number of at least 1."""
    for name, value in values.items():
        if not whole(value) or value < 1:
            raise ValueError(f"{name}={value!r} must be a whole number of at least 1")


def sizes(**values: int) -> None:
    """ValueError unless every value is a whole number of at least 1 that the length of an axis can be."""
    positive(**values)
    for name, value in values.items():
        if value > LARGEST:
            raise ValueError(f"{name}={value!r} is too large; use at most {LARGEST}")


def between(low: float, high: float, **values: float) -> None:
    """ValueError unless every value is a number in [low, high)."""
    for name, value in values.items():
        if not isinstance(value, Real) or not low <= value < high:
            raise ValueError(f"{name}={value!r} must be at least {low} and less than {high}")


def finite(**values: float) -> None:
    """ValueError unless every value is a finite number."""
    for name, value in values.items():
        if not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"{name}={value!r} must be a finite number")


def shares(**values: float) -> None:
    """ValueError unless every value is a number from 0 to 1."""
    for name, value in values.items():
        if not isinstance(value, Real) or not 0 <= value <= 1:
            raise ValueError(f"{name}={value!r} must lie between 0 and 1")


def above_zero(**values: float) -> None:
    """ValueError unless every value is a finite number above 0."""
    for name, value in values.items():
        if not isinstance(value, Real) or not 0 < value < math.inf:
            raise ValueError(f"{name}={value!r} must be a finite number above 0")
