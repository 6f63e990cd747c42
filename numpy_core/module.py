"""What every layer is: a forward, a backward, and named parameters.

A layer is a function y = f(x; w). `forward` computes y and remembers what the derivative needs. `backward` takes
dy = dL/dy, the gradient of the loss with respect to the output, adds dL/dw to `w.grad` for each parameter w, and
returns dx = dL/dx, the gradient with respect to the input: the chain rule, one layer at a time.
"""

from collections.abc import Iterator

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

    Parameters, layers inside layers, and generators are found among a layer's attributes; `buffers` names arrays that
    are kept with the parameters but not learned.
    """

    buffers: tuple[str, ...] = ()
    training = True
    _saved = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.forward(x)

    def forward(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def backward(self, dy: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def children(self) -> Iterator[tuple[str, "Module"]]:
        """The layers directly inside this one, by name."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list):
                yield from ((str(i), item) for i, item in enumerate(value) if isinstance(item, Module))

    def modules(self) -> Iterator["Module"]:
        """This layer and all inside it."""
        yield self
        for _, child in self.children():
            yield from child.modules()

    def parameters(self) -> dict[str, Parameter]:
        """All parameters by dotted name, such as "0.weight"; one that several layers share only by its first."""
        names = {value: name for name, value in vars(self).items() if isinstance(value, Parameter)}
        for name, child in self.children():
            for inner, value in child.parameters().items():
                names.setdefault(value, f"{name}.{inner}")
        return {name: value for value, name in names.items()}

    def generators(self) -> list[np.random.Generator]:
        """The random generators that the layers draw from, each once."""
        found = {}
        for module in self.modules():
            found |= {id(value): value for value in vars(module).values() if isinstance(value, np.random.Generator)}
        return list(found.values())

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
        found = {name: value.value for name, value in vars(self).items() if isinstance(value, Parameter)}
        found |= {name: getattr(self, name) for name in self.buffers}
        for name, child in self.children():
            found |= {f"{name}.{inner}": array for inner, array in child._arrays().items()}
        return found

    def _remember(self, y: np.ndarray, *values) -> np.ndarray:
        """Keep what the backward of this forward will need; gives back the output."""
        self._saved = (y.shape, y.dtype, values)
        return y

    def _recall(self, dy: np.ndarray) -> tuple:
        """What forward kept, once `dy` is seen to be a gradient of its output."""
        kind = type(self).__name__
        if self._saved is None:
            raise ValueError(f"{kind}.backward needs a forward first")
        shape, dtype, values = self._saved
        checks.float_array(f"the gradient that {kind}.backward takes", dy, dtype)
        if dy.shape != shape:
            raise ValueError(f"{kind}.backward takes a gradient of its output's shape {shape}; got {dy.shape}")
        return values
