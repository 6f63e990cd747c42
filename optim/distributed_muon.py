"""Muon whose matrix products are shared out among the processes of a run (Jordan et al. 2024)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, optim

from limits import whole


class DistributedMuon(optim.Muon):
    """`torch.optim.Muon` of which each process orthogonalises a part of the matrices and sends their weights to all.

    Orthogonalising takes as long for few rows as for many: where each process did it for all matrices, more processes
    would not make this part of a step any faster.

    Momenta follow from the gradients, which all processes share, and each process keeps all of them: its checkpoint is
    whole, and goes on on any number of processes. In a process alone this is `torch.optim.Muon`, to the bit.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        if not (dist.is_available() and dist.is_initialized()):
            return super().step(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        matrices = [matrix for group in self.param_groups for matrix in group["params"]]
        rank, parts = dist.get_rank(), shares(matrices, dist.get_world_size())
        own = {id(matrix) for matrix in parts[rank]}
        self._step_of(own)
        flat = [torch.cat([matrix.flatten() for matrix in part]) if part else torch.empty(0) for part in parts]
        sent = [dist.broadcast(weights, source, async_op=True) for source, weights in enumerate(flat) if len(weights)]
        self._follow({id(matrix) for matrix in matrices} - own)
        for work in sent:
            assert work is not None  # each process takes part
            work.wait()
        for source, part in enumerate(parts):
            if source != rank:
                new = flat[source].split([matrix.numel() for matrix in part])
                for matrix, values in zip(part, new, strict=True):
                    matrix.copy_(values.view_as(matrix))
        return loss

    def _step_of(self, own: set[int]) -> None:
        """torch's step of some matrices, by their ids."""
        kept = [group["params"] for group in self.param_groups]
        try:
            for group in self.param_groups:
                group["params"] = [matrix for matrix in group["params"] if id(matrix) in own]
            super().step()
        finally:
            for group, params in zip(self.param_groups, kept, strict=True):
                group["params"] = params

    def _follow(self, others: set[int]) -> None:
        """Momenta of matrices that other processes step, as torch computes them."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if id(matrix) in others and matrix.grad is not None:
                    state = self.state[matrix]
                    if "momentum_buffer" not in state:
                        state["momentum_buffer"] = torch.zeros_like(matrix.grad)
                    state["momentum_buffer"].lerp_(matrix.grad, 1 - group["momentum"])


def shares(matrices: Iterable[Tensor], count: int) -> list[list[Tensor]]:
    """Matrices in `count` parts that take about as long to orthogonalise: each, the largest first, to the least busy.

    A product of a Newton-Schulz iteration of an m x n matrix, m <= n, takes m^2 n multiplications.
    """
    whole(1, 2**20, count=count)

    def cost(matrix: Tensor) -> int:
        return min(matrix.shape) * matrix.numel()

    parts: list[list[Tensor]] = [[] for _ in range(count)]
    for matrix in sorted(matrices, key=cost, reverse=True):
        min(parts, key=lambda part: sum(map(cost, part))).append(matrix)
    return parts
