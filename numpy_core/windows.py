"""Sliding windows over images, shared by convolution and pooling.

N images, C channels, H x W input, P x Q output, K x L kernel.
"""

from collections.abc import Iterator
from types import EllipsisType

import numpy as np

from numpy_core import checks


def pair(name: str, value: int | tuple[int, int], low: int) -> tuple[int, int]:
    """(vertical, horizontal) from a pair or one number for both; ValueError unless whole and at least `low`."""
    values: tuple[int, ...] = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(values) != 2 or not all(checks.whole(v) and low <= v <= checks.LARGEST for v in values):
        raise ValueError(
            f"{name}={value!r} must be a whole number of at least {low}, at most {checks.LARGEST}, or a pair of such"
        )
    first, second = map(int, values)
    return first, second


class Windows:
    """Where a kernel of a size, stride, padding and dilation looks in an image."""

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
    ):
        self.kernel = pair("kernel_size", kernel_size, 1)
        self.stride = pair("stride", stride, 1)
        self.padding = pair("padding", padding, 0)
        self.dilation = pair("dilation", dilation, 1)

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) -> (P, Q): how often the window fits."""
        extent = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        room = [h + 2 * p - e for h, p, e in zip(size, self.padding, extent, strict=True)]
        if min(room) < 0:
            raise ValueError(
                f"a window of {extent[0]} x {extent[1]} does not fit an image of {size[0]} x {size[1]} "
                f"with padding {self.padding[0]} x {self.padding[1]}; use a smaller kernel or more padding"
            )
        rows, columns = (r // s + 1 for r, s in zip(room, self.stride, strict=True))
        return rows, columns

    def pad(self, x: np.ndarray, value: float = 0.0) -> np.ndarray:
        """x (N, C, H, W) with a border of `value`."""
        (top, left), (height, width) = self.padding, x.shape[2:]
        if not (top or left):
            return np.ascontiguousarray(x)
        padded = np.full((*x.shape[:2], height + 2 * top, width + 2 * left), value, x.dtype)
        padded[:, :, top : top + height, left : left + width] = x
        return padded

    def crop(self, padded: np.ndarray) -> np.ndarray:
        """The inverse of `pad`: without the border."""
        (top, left), (height, width) = self.padding, padded.shape[2:]
        return padded[:, :, top : height - top, left : width - left]

    def view(self, padded: np.ndarray) -> np.ndarray:
        """Every window, without a copy: (N, C, H + 2 p, W + 2 p) -> (N, C, P, Q, K, L), read-only."""
        extent = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        every = np.lib.stride_tricks.sliding_window_view(padded, extent, axis=(2, 3))
        return every[:, :, :: self.stride[0], :: self.stride[1], :: self.dilation[0], :: self.dilation[1]]

    def taps(self, output_size: tuple[int, int]) -> Iterator[tuple[tuple[int, int], tuple[EllipsisType, slice, slice]]]:
        """For each (row, column) in the kernel, the slice of a padded image that it sees: (..., P, Q)."""
        (rows, columns), (down, right) = output_size, self.stride
        for row, column in np.ndindex(*self.kernel):
            top, left = row * self.dilation[0], column * self.dilation[1]
            vertical = slice(top, top + (rows - 1) * down + 1, down)
            horizontal = slice(left, left + (columns - 1) * right + 1, right)
            yield (row, column), (..., vertical, horizontal)
