"""Tables of learned vectors. N batch, T positions, V entries, C features."""

import math

import numpy as np

from numpy_core import checks
from numpy_core.checks import FloatDType
from numpy_core.module import Module, Parameter


class Embedding(Module):
    """Row i of a table for each index i: (...) integers -> (..., C), with the table W (V, C)."""

    def __init__(self, entries: int, features: int, rng: np.random.Generator, dtype: FloatDType = np.float32):
        checks.sizes(entries=entries, features=features)
        table = rng.standard_normal((entries, features)).astype(checks.float_dtype(dtype))
        self.weight = Parameter(table)

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.indices("the indices of Embedding", x, np.shape(x), len(self.weight.value))
        return self._remember(self.weight.value[x], x)

    def backward(self, dy: np.ndarray) -> None:  # type: ignore[override]
        # y = W[x], so dW[i] = sum of dy over the places where x = i; indices have no gradient
        (x,) = self._recall(dy)
        dtable = np.zeros_like(self.weight.value)
        np.add.at(dtable, x, dy)
        self.weight.accumulate(dtable)


class LearnedPositions(Module):
    """Adds a learned vector for each position: (N, T, C) -> (N, T, C), with a table W (longest T, C)."""

    def __init__(self, longest: int, features: int, rng: np.random.Generator, dtype: FloatDType = np.float32):
        checks.sizes(longest=longest, features=features)
        std = 1 / math.sqrt(features)
        self.weight = Parameter((std * rng.standard_normal((longest, features))).astype(checks.float_dtype(dtype)))

    def forward(self, x: np.ndarray) -> np.ndarray:
        longest, features = self.weight.value.shape
        checks.float_array("the input of LearnedPositions", x, self.weight.value.dtype, ndim=3)
        checks.axis("the input of LearnedPositions", x, 2, features)
        if x.shape[1] > longest:
            raise ValueError(f"a sequence of {x.shape[1]} is longer than the {longest} learned positions")
        return self._remember(x + self.weight.value[: x.shape[1]])

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # y_ntc = x_ntc + W_tc, so dx = dy and dW_tc = sum_n dy_ntc
        self._recall(dy)
        dtable = np.zeros_like(self.weight.value)
        dtable[: dy.shape[1]] = dy.sum(0)
        self.weight.accumulate(dtable)
        return dy
