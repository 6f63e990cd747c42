"""Pooling over windows of an image.

N images, C channels, H x W input, P x Q output, K x L kernel.
"""

import numpy as np

from numpy_core import checks
from numpy_core.module import Module
from numpy_core.windows import Windows


class _Pool2d(Module):
    """What both poolings share: where their windows lie. By default windows touch (stride = kernel size)."""

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
    ):
        self.windows = Windows(kernel_size, kernel_size if stride is None else stride, padding)
        if any(2 * p > k for p, k in zip(self.windows.padding, self.windows.kernel, strict=True)):
            raise ValueError(
                f"padding={padding} is more than half of kernel_size={kernel_size}: a window could lie outside the "
                "image; use less padding"
            )


class MaxPool2d(_Pool2d):
    """The largest value of each window: (N, C, H, W) -> (N, C, P, Q). The border never wins.

    Where a window holds its maximum twice, the first in reading order takes the gradient, as in PyTorch.
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of MaxPool2d", x, ndim=4)
        size = self.windows.output_size(x.shape[2:])
        padded = self.windows.pad(x, -np.inf)
        y = np.full((*x.shape[:2], *size), -np.inf, x.dtype)
        for _, place in self.windows.taps(size):
            np.maximum(y, padded[place], out=y)
        return self._remember(y, padded, y)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # y = x[winner], so dy/dx is 1 at the winner and 0 elsewhere:
        #   dx[n, c, winner of (i, j)] += dy[n, c, i, j]     windows that overlap may share a winner
        padded, y = self._recall(dy)
        dpadded = np.zeros_like(padded)
        left = dy.copy()  # what no winner has taken yet
        for _, place in self.windows.taps(dy.shape[2:]):
            taken = left * (padded[place] == y)
            dpadded[place] += taken
            left -= taken
        return self.windows.crop(dpadded)


class AvgPool2d(_Pool2d):
    """The mean of each window, border zeros included: (N, C, H, W) -> (N, C, P, Q)."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of AvgPool2d", x, ndim=4)
        size = self.windows.output_size(x.shape[2:])
        padded = self.windows.pad(x)
        y = np.zeros((*x.shape[:2], *size), x.dtype)
        for _, place in self.windows.taps(size):
            y += padded[place]
        y /= self._area
        return self._remember(y, padded.shape)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # y = sum of x over the window / (K L), so every x of a window receives dy / (K L).
        (padded_shape,) = self._recall(dy)
        dpadded = np.zeros(padded_shape, dy.dtype)
        share = dy / self._area
        for _, place in self.windows.taps(dy.shape[2:]):
            dpadded[place] += share
        return self.windows.crop(dpadded)

    @property
    def _area(self) -> int:
        return self.windows.kernel[0] * self.windows.kernel[1]
