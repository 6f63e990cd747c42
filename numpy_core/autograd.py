"""Automatic differentiation in reverse mode: the gradient of any expression, without a backward written for it.

Every layer of this library carries a backward that somebody derived. Here only single operations do, a line each. A
`Tensor` remembers the operation that made it and the tensors it was made from. `backward` goes from the result back
through all of them, and applies the chain rule at each:

    dL/dx = sum over every y that was made from x of  dL/dy dy/dx

>>> x = Tensor(3.0)
>>> y = x * x + 2 * x
>>> y.backward()
>>> float(x.grad)  # 2 x + 2
8.0
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from numpy_core import checks
from numpy_core.module import Parameter

Pullback: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""dL/dy, of what an operation gave -> dL/dx, of what it was given; it may still have the shape of y."""


class Tensor(Parameter):
    """An array, what it was made from, and after `backward` the gradient with respect to it.

    Being a `Parameter`, it can be given to any optimizer here. Numbers and arrays that meet it in an operation become
    tensors of its dtype.

    Args:
        value: a float, or an array of float32 or float64.
        operation: the name of what made it; "" where nothing did.
        sources: the tensors it was made from, each with its pullback.
    """

    __array_ufunc__ = None  # so that `array + tensor` comes to Tensor.__radd__

    def __init__(self, value: np.ndarray | float, operation: str = "", *sources: tuple["Tensor", Pullback]):
        super().__init__(np.asarray(value))
        checks.float_array("a tensor", self.value)
        self.operation, self.sources = operation, sources

    def __add__(self, other: Any) -> "Tensor":
        other = self._like(other)
        return Tensor(self.value + other.value, "+", (self, lambda dy: dy), (other, lambda dy: dy))

    def __mul__(self, other: Any) -> "Tensor":
        x, y = self, self._like(other)
        return Tensor(x.value * y.value, "*", (x, lambda dz: dz * y.value), (y, lambda dz: dz * x.value))

    def __matmul__(self, other: Any) -> "Tensor":
        # Z = X Y, so dX = dZ Y^T and dY = X^T dZ
        x, y = self, self._like(other)
        if min(x.value.ndim, y.value.ndim) < 2:
            raise ValueError(f"@ takes two matrices; got shapes {x.value.shape} and {y.value.shape}: use reshape")
        left, right = (x, lambda dz: dz @ y.value.swapaxes(-1, -2)), (y, lambda dz: x.value.swapaxes(-1, -2) @ dz)
        return Tensor(x.value @ y.value, "@", left, right)

    def __pow__(self, power: float) -> "Tensor":
        return Tensor(self.value**power, f"^{power:g}", (self, lambda dy: dy * power * self.value ** (power - 1)))

    def __neg__(self) -> "Tensor":
        return Tensor(-self.value, "neg", (self, lambda dy: -dy))

    def __sub__(self, other: Any) -> "Tensor":
        other = self._like(other)
        return Tensor(self.value - other.value, "-", (self, lambda dy: dy), (other, lambda dy: -dy))

    def __truediv__(self, other: Any) -> "Tensor":
        return self * self._like(other) ** -1

    def __radd__(self, other: Any) -> "Tensor":
        return self._like(other) + self

    def __rmul__(self, other: Any) -> "Tensor":
        return self._like(other) * self

    def __rmatmul__(self, other: Any) -> "Tensor":
        return self._like(other) @ self

    def __rsub__(self, other: Any) -> "Tensor":
        return self._like(other) - self

    def __rtruediv__(self, other: Any) -> "Tensor":
        return self._like(other) / self

    def exp(self) -> "Tensor":
        y = np.exp(self.value)
        return Tensor(y, "exp", (self, lambda dy: dy * y))

    def log(self) -> "Tensor":
        return Tensor(np.log(self.value), "log", (self, lambda dy: dy / self.value))

    def tanh(self) -> "Tensor":
        y = np.tanh(self.value)
        return Tensor(y, "tanh", (self, lambda dy: dy * (1 - y * y)))

    def relu(self) -> "Tensor":
        return Tensor(np.maximum(self.value, 0), "relu", (self, lambda dy: dy * (self.value > 0)))

    def sum(self, axis: int | None = None) -> "Tensor":
        """The sum along an axis, which stays with size 1, or of all numbers, a scalar."""
        y = self.value.sum(axis, keepdims=axis is not None)
        return Tensor(y, "sum", (self, lambda dy: np.broadcast_to(dy, self.value.shape)))

    def mean(self) -> "Tensor":
        return self.sum() * (1 / self.value.size)

    def reshape(self, *shape: int) -> "Tensor":
        return Tensor(self.value.reshape(shape), "reshape", (self, lambda dy: dy.reshape(self.value.shape)))

    def transposed(self) -> "Tensor":
        """The last two axes exchanged."""
        return Tensor(self.value.swapaxes(-1, -2), "T", (self, lambda dy: dy.swapaxes(-1, -2)))

    def __getitem__(self, index: Any) -> "Tensor":
        def spread(dy: np.ndarray) -> np.ndarray:
            dx = np.zeros_like(self.value)
            np.add.at(dx, index, dy)  # an entry may have been taken more than once
            return dx

        return Tensor(self.value[index], "[ ]", (self, spread))

    def backward(self) -> None:
        """Add the gradient of this number to the `grad` of every tensor that it was made from."""
        if self.value.size != 1:
            raise ValueError(
                f"backward starts from one number, such as a loss; this tensor has shape {self.value.shape}"
            )
        grads = {self: np.ones_like(self.value)}
        for y in reversed(self.graph()):
            y.accumulate(np.array(grads[y]))
            for x, pullback in y.sources:
                dx = _summed_to(x.value.shape, pullback(grads[y]))
                grads[x] = grads[x] + dx if x in grads else dx

    def graph(self) -> list["Tensor"]:
        """All tensors that this one was made from, and itself: each after its sources (topological order)."""
        order: list[Tensor] = []
        seen: set[Tensor] = set()
        waiting = [(self, False)]  # no recursion: a graph may be deeper than Python's stack
        while waiting:
            tensor, sources_done = waiting.pop()
            if sources_done:
                order.append(tensor)
            elif tensor not in seen:
                seen.add(tensor)
                waiting += [(tensor, True), *((source, False) for source, _ in tensor.sources)]
        return order

    def _like(self, other: Any) -> "Tensor":
        other = other if isinstance(other, Tensor) else Tensor(np.asarray(other, self.value.dtype))
        checks.float_array("the other tensor", other.value, self.value.dtype)
        return other


def cross_entropy(logits: Tensor, targets: np.ndarray) -> Tensor:
    """- log softmax(logits)[target], averaged over N: logits (N, C) and classes (N,) -> a scalar."""
    checks.indices("targets", targets, logits.value.shape[:-1], logits.value.shape[-1])
    shifted = logits - logits.value.max(-1, keepdims=True)  # no exponential can overflow
    log_p = shifted - shifted.exp().sum(-1).log()
    return -log_p[np.arange(len(targets)), targets].mean()


def _summed_to(shape: tuple[int, ...], dx: np.ndarray) -> np.ndarray:
    """The gradient of an array that was broadcast: its copies were all used, so their gradients are added."""
    dx = dx.sum(tuple(range(dx.ndim - len(shape))))
    return dx.sum(tuple(axis for axis, size in enumerate(shape) if size == 1), keepdims=True)
