"""Activations: y = f(x) for each number, dx = dy f'(x); and softmax, which looks at a whole axis."""

import math

import numpy as np

from numpy_core import checks
from numpy_core.error_function import erf
from numpy_core.module import Module


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of ReLU", x)
        y = np.maximum(x, 0)
        return self._remember(y, y)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # f'(x) = 1 where x > 0, else 0 (0 at x = 0)
        (y,) = self._recall(dy)
        return dy * (y > 0)


class LeakyReLU(Module):
    """x where x > 0, else slope * x: Maas et al. 2013."""

    def __init__(self, slope: float = 0.01):
        checks.finite(slope=slope)
        self.slope = float(slope)

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of LeakyReLU", x)
        return self._remember(np.where(x > 0, x, self.slope * x), x)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # f'(x) = 1 where x > 0, else slope
        (x,) = self._recall(dy)
        return np.where(x > 0, dy, self.slope * dy)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), by exp(-|x|), which cannot overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of Sigmoid", x)
        y = sigmoid(x)
        return self._remember(y, y)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # f' = y (1 - y)
        (y,) = self._recall(dy)
        return dy * y * (1 - y)


class Tanh(Module):
    """tanh(x)."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of Tanh", x)
        y = np.tanh(x)
        return self._remember(y, y)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # f' = 1 - y^2
        (y,) = self._recall(dy)
        return dy * (1 - y * y)


class GELU(Module):
    """x Phi(x), Phi the normal distribution function: Hendrycks and Gimpel 2016, Eq. 1."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of GELU", x)
        phi = 0.5 * (1 + erf(x * math.sqrt(0.5)))
        return self._remember(x * phi, x, phi)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # f'(x) = Phi(x) + x p(x), p(x) = exp(-x^2 / 2) / sqrt(2 pi)
        x, phi = self._recall(dy)
        return dy * (phi + x * np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi)))


class TanhGELU(Module):
    """0.5 x (1 + tanh(u)), u = sqrt(2 / pi) (x + 0.044715 x^3): Hendrycks and Gimpel 2016, Sec. 2."""

    scale, cubic = math.sqrt(2 / math.pi), 0.044715

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of TanhGELU", x)
        t = np.tanh(self.scale * (x + self.cubic * x * x * x))
        return self._remember(0.5 * x * (1 + t), x, t)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # f'(x) = 0.5 (1 + t) + 0.5 x (1 - t^2) u',  u' = sqrt(2 / pi) (1 + 3 * 0.044715 x^2)
        x, t = self._recall(dy)
        du = self.scale * (1 + 3 * self.cubic * x * x)
        return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * du)


class SiLU(Module):
    """x sigmoid(x): Elfwing et al. 2017."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of SiLU", x)
        s = sigmoid(x)
        return self._remember(x * s, x, s)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # f'(x) = s + x s (1 - s)
        x, s = self._recall(dy)
        return dy * s * (1 + x * (1 - s))


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """exp(x_i) / sum_j exp(x_j) along an axis; shifted by the maximum, which only prevents overflow."""
    y = np.exp(x - x.max(axis, keepdims=True, initial=-np.inf))  # initial: the axis may be empty
    y /= y.sum(axis, keepdims=True)
    return y


def softmax_backward(dy: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    """dL/dx from dL/dy for y = softmax(x).

    dy_i/dx_j = y_i ([i = j] - y_j), so dx_j = sum_i dy_i y_i ([i = j] - y_j) = y_j (dy_j - sum_i dy_i y_i).
    """
    return y * (dy - (dy * y).sum(axis, keepdims=True))


class Softmax(Module):
    """Softmax along one axis, the last by default."""

    def __init__(self, axis: int = -1):
        if not checks.whole(axis):
            raise ValueError(f"axis={axis!r} must be a whole number")
        self.axis = axis

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of Softmax", x)
        if not -x.ndim <= self.axis < x.ndim:
            raise ValueError(f"axis={self.axis} is none of the {x.ndim} axes of the shape {x.shape}")
        y = softmax(x, self.axis)
        return self._remember(y, y)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        (y,) = self._recall(dy)
        return softmax_backward(dy, y, self.axis)
