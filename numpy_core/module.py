"""The base of every layer: a forward, a backward, and named parameters.

A layer is a function y = f(x; w). `forward` computes y and remembers what the derivative needs. `backward` takes
dy = dL/dy, the gradient of the loss with respect to the output, adds dL/dw to `w.grad` for each parameter w, and
returns dx = dL/dx, the gradient with respect to the input: the chain rule, one layer at a time.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np

from numpy_core import checks


class Parameter:
    """An array that is learned, and the gradient of the loss with respect to it."""

    def __init__(self, value: np.ndarray):
        self.value = value
        self.grad: np.ndarray | None = None

    def accumulate(self, grad: np.ndarray) -> None:
        """Add to the gradient: a parameter used twice has the sum of both derivatives."""
        if self.grad is None:
            self.grad = grad
        else:
            self.grad += grad


class Module:
    """Base of all layers.

    Parameters, layers inside layers, and generators are found among a layer's attributes, also in lists, tuples and
    dicts; what several layers share is counted once. `buffers` names arrays that are kept with the parameters but not
    learned.
    """

    buffers: tuple[str, ...] = ()
    training = True
    _saved: tuple[tuple[int, ...], np.dtype, tuple[Any, ...]] | None = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.forward(x)

    def forward(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def backward(self, dy: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def children(self) -> Iterator[tuple[str, "Module"]]:
        """The layers directly inside this one, by name."""
        return ((name, value) for name, value in self._held() if isinstance(value, Module))

    def modules(self) -> Iterator["Module"]:
        """This layer and all inside it, each once."""
        return (module for _, module in self._named_modules())

    def parameters(self) -> dict[str, Parameter]:
        """All parameters by dotted name, such as "0.weight"; one that several layers share only by its first."""
        names: dict[Parameter, str] = {}
        for prefix, module in self._named_modules():
            for name, value in module._held():
                if isinstance(value, Parameter):
                    names.setdefault(value, prefix + name)
        found = {name: value for value, name in names.items()}
        if len(found) < len(names):
            twice = next(name for value, name in names.items() if found[name] is not value)
            raise ValueError(f"two parameters have the name {twice}; give their dict other keys")
        return found

    def generators(self) -> list[np.random.Generator]:
        """The random generators that the layers draw from, each once."""
        held = (value for module in self.modules() for _, value in module._held())
        return list({id(value): value for value in held if isinstance(value, np.random.Generator)}.values())

    def train(self, training: bool = True) -> "Module":
        """Let dropout drop and batch normalisation use the batch's own statistics, or (False) neither."""
        for module in self.modules():
            module.training = training
        return self

    def eval(self) -> "Module":
        return self.train(False)

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by dotted name."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Take over parameters and buffers; ValueError where names, shapes or dtypes differ from this module's."""
        own = self._arrays()
        if own.keys() != state.keys():
            missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
            raise ValueError(f"the state does not fit this model: it lacks {missing} and has the unknown {unknown}")
        for name, array in own.items():
            given = state[name]
            if given.shape != array.shape or given.dtype != array.dtype:
                raise ValueError(
                    f"{name} in the state is {given.dtype} of shape {given.shape}; "
                    f"this model has {array.dtype} of shape {array.shape}"
                )
        for name, array in own.items():
            array[...] = state[name]

    def _arrays(self) -> dict[str, np.ndarray]:
        found = {name: parameter.value for name, parameter in self.parameters().items()}
        for prefix, module in self._named_modules():
            found |= {prefix + name: getattr(module, name) for name in module.buffers}
        return found

    def _named_modules(self, prefix: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, "Module"]]:
        """This layer and all inside it, each once, and what the names of its parameters begin with."""
        seen = set() if seen is None else seen
        if id(self) not in seen:
            seen.add(id(self))
            yield prefix, self
            for name, child in self.children():
                yield from child._named_modules(f"{prefix}{name}.", seen)

    def _held(self) -> Iterator[tuple[str, object]]:
        """Every attribute by its name, those that are lists, tuples and dicts item by item."""
        for name, value in vars(self).items():
            if name != "_saved":
                yield from _unpacked(name, value)

    def _remember(self, y: np.ndarray, *values: object) -> np.ndarray:
        """Keep what the backward of this forward will need; returns the output."""
        self._saved = (y.shape, y.dtype, values)
        return y

    def _recall(self, dy: np.ndarray) -> tuple[Any, ...]:
        """What forward kept, once `dy` is seen to be a gradient of its output."""
        kind = type(self).__name__
        if self._saved is None:
            raise ValueError(f"{kind}.backward needs a forward first")
        shape, dtype, values = self._saved
        checks.float_array(f"the gradient that {kind}.backward takes", dy, dtype)
        if dy.shape != shape:
            raise ValueError(f"{kind}.backward takes a gradient of its output's shape {shape}; got {dy.shape}")
        return values


def _unpacked(name: str, value: object) -> Iterator[tuple[str, object]]:
    """A value by its name, or what lies in it by dotted names."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _unpacked(f"{name}.{key}", item)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for i, item in enumerate(value):
            yield from _unpacked(f"{name}.{i}", item)
    elif isinstance(value, Set) and any(isinstance(item, Module | Parameter) for item in value):
        raise ValueError(f"{name} is a set, whose layers have no order; use a list")
    else:
        yield name, value
