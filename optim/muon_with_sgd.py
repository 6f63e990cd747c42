"""Muon for convolutions with filters of unit length, SGD for biases and the last layer (Jordan 2024, airbench)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, optim
from torch.nn import Parameter

from limits import number, whole
from optim.combined_optimizer import CombinedOptimizer
from optim.distributed_muon import DistributedMuon


class MuonWithSGD(CombinedOptimizer):
    """`torch.optim.Muon` on kernels and matrices, `torch.optim.SGD` with Nesterov momentum on everything else.

    A kernel is treated as a matrix with one row per filter. Before each step its filters are brought back to length 1
    on average (root mean square): batch norm cancels a filter's length, and a step of given length turns a longer
    filter less. So it is meant for networks that normalise after each convolution.

    Args:
        params: parameter groups with names (`optim.parameter_groups`). Their own weight decay is not used.
        lr: Muon's: about the angle, in radians, by which a step turns a filter.
        bias_lr: SGD's for biases outside the last layer.
        head_lr: SGD's for the last layer and for scales.
        weight_decay: SGD's, per step and independent of the learning rate, by which it is divided. Filters have a fixed
            length.
        momentum: Muon's.
        sgd_momentum: SGD's.
        ns_steps: Newton-Schulz iterations in a step of Muon.
        head: names of the last layer, as they occur in its parameters' names.

    Raises ValueError for parameters without names.
    """

    def __init__(
        self,
        params: list[dict[str, Any]],
        lr: float = 0.1,
        bias_lr: float = 26.0,
        head_lr: float = 0.005,
        weight_decay: float = 0.0,
        momentum: float = 0.6,
        sgd_momentum: float = 0.85,
        ns_steps: int = 3,
        head: Sequence[str] = ("head",),
    ):
        number("[0, inf)", lr=lr, weight_decay=weight_decay)
        number("(0, inf)", bias_lr=bias_lr, head_lr=head_lr)
        number("[0, 1)", momentum=momentum)
        number("(0, 1)", sgd_momentum=sgd_momentum)
        whole(1, 99, ns_steps=ns_steps)
        filters: list[tuple[str, Parameter]] = []
        biases: list[tuple[str, Parameter]] = []
        others: list[tuple[str, Parameter]] = []
        for group in params:
            named = list(group["params"]) if isinstance(group, dict) else None
            if not named or not all(isinstance(pair, tuple) for pair in named):
                raise ValueError("MuonWithSGD takes groups of named parameters, [{'params': [(name, p), ...]}, ...]")
            for name, parameter in named:
                if not set(name.split(".")).isdisjoint(head):
                    others.append((name, parameter))
                elif parameter.ndim >= 2:
                    filters.append((name, parameter))
                else:
                    (biases if name.endswith("bias") else others).append((name, parameter))
        self._filters = [parameter for _, parameter in filters]
        optimizers: list[optim.Optimizer] = []
        if filters:
            with _as_matrices(self._filters):
                optimizers.append(DistributedMuon(filters, lr, weight_decay=0.0, momentum=momentum, ns_steps=ns_steps))
        groups = [
            {"params": chosen, "lr": rate, "weight_decay": weight_decay / rate}
            for chosen, rate in ((biases, bias_lr), (others, head_lr))
            if chosen
        ]
        if groups:
            optimizers.append(optim.SGD(groups, momentum=sgd_momentum, nesterov=True, foreach=True))
        super().__init__(*optimizers)

    def _step(self) -> None:
        """One step of both, after filters are brought to unit length."""
        for kernel in self._filters:
            kernel.mul_(len(kernel) ** 0.5 / kernel.norm())
        with _as_matrices(self._filters):
            super()._step()


@contextmanager
def _as_matrices(kernels: Sequence[Tensor]) -> Iterator[None]:
    """Kernels (C', C, k, k) and their gradients as matrices (C', C k k), for which `torch.optim.Muon` is made."""
    shapes = [kernel.shape for kernel in kernels]
    for kernel in kernels:
        _reshape(kernel, (len(kernel), -1))
    try:
        yield
    finally:
        for kernel, shape in zip(kernels, shapes, strict=True):
            _reshape(kernel, shape)


def _reshape(kernel: Tensor, shape: Sequence[int]) -> None:
    if kernel.shape != shape and kernel.ndim != len(shape):
        gradient, kernel.grad = kernel.grad, None
        kernel.data = kernel.data.reshape(shape)
        kernel.grad = None if gradient is None else gradient.reshape(shape)
