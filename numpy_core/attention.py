"""Multi-head self-attention: Vaswani et al. 2017, Eq. 1 and Sec. 3.2.2.

N batch, T positions, C features, H heads, D = C / H features a head.
"""

import math

import numpy as np

from numpy_core import checks
from numpy_core.activations import softmax, softmax_backward
from numpy_core.checks import FloatDType
from numpy_core.initializers import xavier_uniform
from numpy_core.linear import Linear
from numpy_core.module import Module


class SelfAttention(Module):
    """Every position attends to every position, or with `causal` to itself and those before: (N, T, C) -> (N, T, C).

    q, k, v = the three thirds of x W_qkv^T, cut into H heads;  y = (softmax(q k^T / sqrt(D)) v) W_out^T.
    """

    def __init__(
        self, features: int, heads: int, rng: np.random.Generator, causal: bool = False, dtype: FloatDType = np.float32
    ):
        checks.sizes(features=features, heads=heads)
        if features % heads:
            raise ValueError(f"heads={heads} must divide features={features}")
        self.heads, self.causal = heads, causal
        self.qkv = Linear(features, 3 * features, rng, initializer=xavier_uniform, dtype=dtype)
        self.out = Linear(features, features, rng, initializer=xavier_uniform, dtype=dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of SelfAttention", x, ndim=3)
        query, key, value = self._split(self.qkv(x))  # (N, H, T, D) each
        scores = query @ key.swapaxes(-1, -2)  # (N, H, T, T)
        scores *= self._scale(query)
        if self.causal:
            scores[..., ~np.tri(x.shape[1], dtype=bool)] = -np.inf
        weights = softmax(scores)
        y = self.out(self._join(weights @ value))
        return self._remember(y, query, key, value, weights)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # With S = q k^T / sqrt(D), A = softmax(S), Z = A v:
        #   dv = A^T dZ                  (T, T) (T, D)
        #   dA = dZ v^T                  (T, D) (D, T)
        #   dS = A (dA - sum(dA A))      by rows; where the mask made A zero, dS is zero
        #   dq = dS k / sqrt(D)          (T, T) (T, D)
        #   dk = dS^T q / sqrt(D)        (T, T) (T, D)
        query, key, value, weights = self._recall(dy)
        (dmixed,) = self._split(self.out.backward(dy), parts=1)
        dvalue = weights.swapaxes(-1, -2) @ dmixed
        dscores = softmax_backward(dmixed @ value.swapaxes(-1, -2), weights)
        dscores *= self._scale(query)
        dquery = dscores @ key
        dkey = dscores.swapaxes(-1, -2) @ query
        return self.qkv.backward(np.concatenate([self._join(d) for d in (dquery, dkey, dvalue)], -1))

    def _split(self, x: np.ndarray, parts: int = 3) -> np.ndarray:
        """(N, T, parts C) -> (parts, N, H, T, D)."""
        batch, length, features = x.shape
        shape = (batch, length, parts, self.heads, features // (parts * self.heads))
        return x.reshape(shape).transpose(2, 0, 3, 1, 4)

    def _join(self, heads: np.ndarray) -> np.ndarray:
        """(N, H, T, D) -> (N, T, C)."""
        batch, count, length, features = heads.shape
        return heads.transpose(0, 2, 1, 3).reshape(batch, length, count * features)

    @staticmethod
    def _scale(query: np.ndarray) -> float:
        return 1 / math.sqrt(query.shape[-1])
