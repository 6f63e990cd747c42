"""Layers made of layers, and the one that only changes the shape."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from numpy_core import checks
from numpy_core.module import Module


class Sequential(Module):
    """One layer after the other: y = f_k(... f_1(x)); the gradients come back in reverse order."""

    def __init__(self, *layers: Module):
        _check_apart(layers)
        self.layers = list(layers)

    def children(self) -> Iterator[tuple[str, Module]]:
        yield from ((name.removeprefix("layers."), layer) for name, layer in super().children())

    def forward(self, x: np.ndarray) -> np.ndarray:
        for layer in self.layers:
            x = layer(x)
        return x

    def backward(self, dy: np.ndarray) -> np.ndarray:
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy


class Residual(Module):
    """y = body(x) + shortcut(x), the shortcut being x itself where none is given: He et al. 2015."""

    def __init__(self, body: Module, shortcut: Module | None = None):
        _check_apart([body] if shortcut is None else [body, shortcut])
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
        if not x.ndim:
            raise ValueError("the input of Flatten has shape (); it must have a batch axis")
        return self._remember(x.reshape(len(x), math.prod(x.shape[1:])), x.shape)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        (shape,) = self._recall(dy)
        return dy.reshape(shape)


def _check_apart(layers: Iterable[Module]) -> None:
    """ValueError where a layer has two places, at any depth: its second forward writes over what the first kept."""
    seen: set[Module] = set()
    for layer in layers:
        if not isinstance(layer, Module):
            raise ValueError(f"layers are made of layers; got {layer!r}")
        inside = list(layer.modules())
        twice = [type(module).__name__ for module in inside if module in seen]
        if twice:
            raise ValueError(f"{twice[0]} comes twice; give each place a layer of its own")
        seen.update(inside)
