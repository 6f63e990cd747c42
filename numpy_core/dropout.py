"""Dropout: Srivastava et al. 2014, scaled in training so that eval mode needs no scaling."""

import numpy as np

from numpy_core import checks
from numpy_core.module import Module


class Dropout(Module):
    """In training, zero with probability p, else x / (1 - p); in eval mode x."""

    def __init__(self, p: float, rng: np.random.Generator):
        checks.between(0, 1, p=p)
        self.p, self.rng = float(p), rng

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of Dropout", x)
        if not self.training or self.p == 0:
            return self._remember(x, None)
        kept = self.rng.random(x.shape, x.dtype) >= self.p
        mask = kept.astype(x.dtype) * (1 / (1 - self.p))
        return self._remember(x * mask, mask)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # y = m x for a fixed mask m, so dx = m dy
        (mask,) = self._recall(dy)
        return dy if mask is None else dy * mask
