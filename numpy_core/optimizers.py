"""Optimizers: from gradients g to new weights w. Formulas and defaults as in `torch.optim`."""

import math
from collections.abc import Iterable

import numpy as np

from numpy_core import checks
from numpy_core.module import Parameter


class Optimizer:
    """Base of all optimizers: the parameters, the learning rate, and what is remembered between steps."""

    memory: tuple[str, ...] = ()  # names of the arrays kept for each parameter

    def __init__(self, parameters: Iterable[Parameter], lr: float):
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("an optimizer needs at least one parameter; got none")
        for parameter in self.parameters:
            if not isinstance(parameter, Parameter):
                raise ValueError(f"an optimizer takes model.parameters().values(); got a {type(parameter).__name__}")
        if len(set(self.parameters)) < len(self.parameters):
            raise ValueError("an optimizer was given one parameter twice, and would move it twice a step")
        checks.between(0, math.inf, lr=lr)
        self.lr, self.steps = float(lr), 0
        self.updates = np.zeros(len(self.parameters), np.int64)  # of each parameter: those without gradients wait
        self.kept = {name: [np.zeros_like(p.value) for p in self.parameters] for name in self.memory}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        self.steps += 1
        for i, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                self.updates[i] += 1
                kept = (self.kept[name][i] for name in self.memory)
                self._update(parameter.value, parameter.grad, int(self.updates[i]), *kept)

    def _update(self, w: np.ndarray, g: np.ndarray, t: int, *kept: np.ndarray) -> None:
        """Move `w` by its gradient `g` for the t-th time, counted from 1."""
        raise NotImplementedError

    def state(self) -> dict[str, np.ndarray]:
        """Copies of everything that the next step depends on besides the weights."""
        arrays = {f"{name}.{i}": array.copy() for name, kept in self.kept.items() for i, array in enumerate(kept)}
        return arrays | {"steps": np.array(self.steps), "updates": self.updates.copy(), "lr": np.array(self.lr)}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a `state` of an optimizer of the same kind over parameters of the same shapes."""
        own = self.state()
        for name, array in own.items():
            same = name in state and (state[name].shape, state[name].dtype) == (array.shape, array.dtype)
            if not same or own.keys() != state.keys():
                raise ValueError(
                    f"the state does not fit this {type(self).__name__} over {len(self.parameters)} parameters: "
                    f"it holds {sorted(state)}; expected {sorted(own)} in this model's shapes and dtypes"
                )
        self.steps, self.lr = int(state["steps"]), float(state["lr"])
        self.updates[...] = state["updates"]
        for name, kept in self.kept.items():
            for i, array in enumerate(kept):
                array[...] = state[f"{name}.{i}"]


class SGD(Optimizer):
    """Stochastic gradient descent with momentum and L2 regularisation.

    g <- g + weight_decay w;  v <- momentum v + g;  w <- w - lr v, or with Nesterov w <- w - lr (g + momentum v).
    """

    memory = ("velocity",)

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        checks.between(0, math.inf, momentum=momentum, weight_decay=weight_decay)
        if nesterov and momentum == 0:
            raise ValueError(f"nesterov needs momentum above 0; got momentum={momentum}")
        super().__init__(parameters, lr)
        self.momentum, self.weight_decay, self.nesterov = float(momentum), float(weight_decay), nesterov

    def _update(self, w: np.ndarray, g: np.ndarray, t: int, *kept: np.ndarray) -> None:
        (velocity,) = kept
        if self.weight_decay:
            g = g + self.weight_decay * w
        if self.momentum:
            velocity *= self.momentum
            velocity += g
            g = g + self.momentum * velocity if self.nesterov else velocity
        w -= self.lr * g


class Adam(Optimizer):
    """Kingma and Ba 2015, Algorithm 1, with L2 regularisation: g <- g + weight_decay w.

    m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
    w <- w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon) when w has a gradient for the t-th time.
    """

    memory = ("first_moment", "second_moment")

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, lr)
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas={betas} must be two numbers between 0 and 1, 1 excluded")
        checks.between(0, math.inf, epsilon=epsilon, weight_decay=weight_decay)
        self.betas = tuple(map(float, betas))
        self.epsilon, self.weight_decay = float(epsilon), float(weight_decay)

    def _update(self, w: np.ndarray, g: np.ndarray, t: int, *kept: np.ndarray) -> None:
        self._move(w, g + self.weight_decay * w if self.weight_decay else g, t, *kept)

    def _move(self, w: np.ndarray, g: np.ndarray, t: int, m: np.ndarray, v: np.ndarray) -> None:
        b1, b2 = self.betas
        m += (1 - b1) * (g - m)
        v *= b2
        v += (1 - b2) * (g * g)
        # the bias corrections are moved to the scalars: fewer passes over the weights
        denominator = np.sqrt(v)
        denominator *= 1 / math.sqrt(1 - b2**t)
        denominator += self.epsilon
        np.divide(m, denominator, out=denominator)
        denominator *= self.lr / (1 - b1**t)
        w -= denominator


class AdamW(Adam):
    """Adam with decoupled weight decay: first w <- w - lr weight_decay w (Loshchilov and Hutter 2019, Algorithm 2)."""

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float = 1e-2,
    ):
        super().__init__(parameters, lr, betas, epsilon, weight_decay)

    def _update(self, w: np.ndarray, g: np.ndarray, t: int, *kept: np.ndarray) -> None:
        w *= 1 - self.lr * self.weight_decay
        self._move(w, g, t, *kept)


def clip_gradients(parameters: Iterable[Parameter], max_norm: float) -> float:
    """Scale all gradients so that their joint Euclidean norm is at most `max_norm`; returns the norm before.

    As `torch.nn.utils.clip_grad_norm_`, whose 1e-6 guards the division; one NaN makes all of them NaN.
    """
    checks.between(0, math.inf, max_norm=max_norm)
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in grads))
    share = float(max_norm) / (norm + 1e-6)
    if not share >= 1:
        for g in grads:
            g *= share
    return norm
