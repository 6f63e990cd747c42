"""Normalisation: zero mean and unit variance over some axes, then a learned scale and shift.

For one group of m values x that are normalised together:

    mu = mean(x),  v = mean((x - mu)^2),  z = (x - mu) / sqrt(v + epsilon),  y = gamma z + beta

and backward, with dz = dy gamma (mu and v depend on every x of the group):

    dx = (dz - mean(dz) - z mean(dz z)) / sqrt(v + epsilon)

Batch normalisation (Ioffe and Szegedy 2015) takes a channel over the batch as one group, layer normalisation (Ba et al.
2016) one example's features. N batch, C channels, L length, H x W image.
"""

import numpy as np

from numpy_core import checks
from numpy_core.checks import FloatDType
from numpy_core.module import Module, Parameter


class _BatchNorm(Module):
    """Normalises each channel (axis 1) over the batch; in eval mode by the running mean and variance.

    running = (1 - momentum) running + momentum batch, with the unbiased variance m / (m - 1) v, as in PyTorch.
    """

    buffers = ("running_mean", "running_var")
    allowed_axes: tuple[int, ...]

    def __init__(self, channels: int, momentum: float = 0.1, epsilon: float = 1e-5, dtype: FloatDType = np.float32):
        checks.sizes(channels=channels)
        checks.shares(momentum=momentum)
        checks.above_zero(epsilon=epsilon)
        dtype = checks.float_dtype(dtype)
        self.momentum, self.epsilon = float(momentum), float(epsilon)
        self.weight = Parameter(np.ones(channels, dtype))  # gamma
        self.bias = Parameter(np.zeros(channels, dtype))  # beta
        self.running_mean, self.running_var = np.zeros(channels, dtype), np.ones(channels, dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        kind = type(self).__name__
        checks.float_array(f"the input of {kind}", x, self.weight.value.dtype)
        if x.ndim not in self.allowed_axes:
            raise ValueError(f"{kind} takes {' or '.join(map(str, self.allowed_axes))} axes; got shape {x.shape}")
        checks.axis(f"the input of {kind}", x, 1, len(self.weight.value))
        axes = (0, *range(2, x.ndim))
        if self.training:
            count = x.size // x.shape[1]
            if count < 2:
                raise ValueError(f"{kind} in training needs at least 2 values a channel; got shape {x.shape}")
            mean = x.mean(axes)
            centred = x - self._spread(mean, x)
            variance = np.square(centred).mean(axes)
            self.running_mean += self.momentum * (mean - self.running_mean)
            self.running_var += self.momentum * (variance * (count / (count - 1)) - self.running_var)
        else:
            centred, variance = x - self._spread(self.running_mean, x), self.running_var
        scale = 1 / np.sqrt(variance + self.epsilon)  # (C,)
        z = centred
        z *= self._spread(scale, x)
        y = z * self._spread(self.weight.value, x)
        y += self._spread(self.bias.value, x)
        return self._remember(y, z, scale, self.training)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        z, scale, training = self._recall(dy)
        axes = (0, *range(2, dy.ndim))
        dbeta = dy.sum(axes)  # y = gamma z + beta
        dgamma = (dy * z).sum(axes)
        self.weight.accumulate(dgamma)
        self.bias.accumulate(dbeta)
        factor = self.weight.value * scale
        if not training:
            return dy * self._spread(factor, dy)  # the running statistics do not depend on x
        count = dy.size // dy.shape[1]
        # mean(dz) = gamma dbeta / m,  mean(dz z) = gamma dgamma / m
        dx = dy - z * self._spread(dgamma / count, dy)
        dx -= self._spread(dbeta / count, dy)
        dx *= self._spread(factor, dy)
        return dx

    @staticmethod
    def _spread(channels: np.ndarray, like: np.ndarray) -> np.ndarray:
        """(C,) -> (C, 1, ..., 1), to meet axis 1 of `like`."""
        return channels.reshape(-1, *(1,) * (like.ndim - 2))


class BatchNorm1d(_BatchNorm):
    """(N, C) or (N, C, L), normalised for each channel."""

    allowed_axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """(N, C, H, W), normalised for each channel."""

    allowed_axes = (4,)


class LayerNorm(Module):
    """(..., C), normalised over the last axis for each position."""

    def __init__(self, features: int, epsilon: float = 1e-5, dtype: FloatDType = np.float32):
        checks.sizes(features=features)
        checks.above_zero(epsilon=epsilon)
        dtype = checks.float_dtype(dtype)
        self.epsilon = float(epsilon)
        self.weight = Parameter(np.ones(features, dtype))  # gamma
        self.bias = Parameter(np.zeros(features, dtype))  # beta

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of LayerNorm", x, self.weight.value.dtype)
        checks.axis("the input of LayerNorm", x, -1, len(self.weight.value))
        z = x - x.mean(-1, keepdims=True)
        scale = 1 / np.sqrt(np.square(z).mean(-1, keepdims=True) + self.epsilon)  # (..., 1)
        z *= scale
        return self._remember(self.weight.value * z + self.bias.value, z, scale)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        z, scale = self._recall(dy)
        rows = tuple(range(dy.ndim - 1))
        self.weight.accumulate((dy * z).sum(rows))
        self.bias.accumulate(dy.sum(rows))
        dz = dy * self.weight.value
        return scale * (dz - dz.mean(-1, keepdims=True) - z * (dz * z).mean(-1, keepdims=True))
