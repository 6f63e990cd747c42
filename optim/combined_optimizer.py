"""Several optimizers that step as one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import optim


class CombinedOptimizer(optim.Optimizer):
    """Optimizers, each with parameters of its own, as one that Lightning can step, schedule and save.

    Its `param_groups` are theirs, in the given order, and its state is the state of all.

    >>> matrix, vector = torch.zeros(2, 2, requires_grad=True), torch.zeros(2, requires_grad=True)
    >>> optimizer = CombinedOptimizer(optim.Muon([matrix], lr=0.1), optim.SGD([vector], lr=0.01))
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.1, 0.01]
    """

    def __init__(self, *optimizers: optim.Optimizer):
        self.optimizers = optimizers
        super().__init__([group for optimizer in optimizers for group in optimizer.param_groups], {})
        self._share()

    def _share(self) -> None:
        groups = iter(self.param_groups)
        for optimizer in self.optimizers:
            optimizer.param_groups = [next(groups) for _ in optimizer.param_groups]
            optimizer.state = self.state

    def load_state_dict(self, state_dict: dict) -> None:
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._step()
        return loss

    def _step(self) -> None:
        for optimizer in self.optimizers:
            optimizer.step()
