"""Layers made of layers, and the one that only changes the shape."""

import numpy as np

from numpy_core import checks
from numpy_core.module import Module


class Sequential(Module):
    """One layer after the other: y = f_k(... f_1(x)); the gradients come back in reverse order."""

    def __init__(self, *layers: Module):
        twice = [type(layer).__name__ for i, layer in enumerate(layers) if layer in layers[:i]]
        if twice:  # its second forward would write over what the backward of its first needs
            raise ValueError(f"{twice[0]} comes twice; give each place a layer of its own")
        self.layers = list(layers)

    def children(self):
        yield from ((str(i), layer) for i, layer in enumerate(self.layers))

    def forward(self, x: np.ndarray) -> np.ndarray:
        for layer in self.layers:
            x = layer(x)
        return x

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy


class Residual(Module):
    """y = body(x) + shortcut(x), the shortcut being x itself where none is given: He et al. 2015."""

    def __init__(self, body: Module, shortcut: Module | None = None):
        self.body, self.shortcut = body, shortcut

    def forward(self, x: np.ndarray) -> np.ndarray:
        y, short = self.body(x), x if self.shortcut is None else self.shortcut(x)
        if y.shape != short.shape:
            raise ValueError(f"Residual adds equal shapes; its body gave {y.shape}, its shortcut {short.shape}")
        return self._remember(y + short)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # y = f(x) + g(x), so dx is the sum of what comes back through both
        self._recall(dy)
        return self.body.backward(dy) + (dy if self.shortcut is None else self.shortcut.backward(dy))


class Flatten(Module):
    """(N, ...) -> (N, all the rest)."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        checks.float_array("the input of Flatten", x)
        return self._remember(x.reshape(len(x), -1), x.shape)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        (shape,) = self._recall(dy)
        return dy.reshape(shape)
