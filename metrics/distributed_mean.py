"""Means over batches and processes that hold different numbers of terms."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, optim


class Trains(Protocol):
    """What has a Lightning trainer, such as a LightningModule."""

    trainer: Any


class Logs(Protocol):
    """What logs metrics, such as a LightningModule."""

    @property
    def log(self) -> Callable[..., None]:
        """Logs a metric, as `LightningModule.log` does."""


class StepMean:
    """Weights the batches of an optimizer step so that its gradient is that of the mean over all of their terms.

    Lightning steps by the mean of the gradients of all processes and of all batches that share a step
    (`accumulate_grad_batches`). The gradient of the mean over all n_1 + n_2 + ... terms is the mean of these gradients,
    each times n_i / mean(n). Within a step mean(n) is not known yet: the first batch's is used, and corrected before
    the optimizer reads the gradients (`settle`).
    """

    def __init__(self) -> None:
        self._counts: list[Tensor] = []  # of each batch of this step, the mean of all processes

    def weight(self, module: Trains, count: Tensor) -> Tensor:
        """Factor for this process's mean over `count` terms, 1 where it is alone. Call it once for each batch."""
        count = count.float()
        self._counts.append(module.trainer.strategy.reduce(count.clone()))  # in place
        return count / self._counts[0].clamp(min=1)

    @torch.no_grad()
    def settle(self, module: Trains, optimizer: optim.Optimizer) -> None:
        """Correct the gradients of a step; call it in `on_before_optimizer_step`."""
        counts, self._counts = self._counts, []
        batches = module.trainer.accumulate_grad_batches
        if batches == 1:
            return
        factor = batches * counts[0].clamp(min=1) / sum(counts, torch.zeros_like(counts[0])).clamp(min=1)
        for group in optimizer.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.grad.mul_(factor)


def log_mean(module: Logs, name: str, value: Tensor, count: int, **options: Any) -> None:
    """Log the mean of `count` terms so that its mean over an epoch is that of all terms of all processes.

    Lightning divides the sum of counts by the number of processes in whole numbers: 250 and 251 rows would count for
    250 each. Multiplied by that number before, nothing is lost.
    """
    shared = dist.is_available() and dist.is_initialized()
    processes = dist.get_world_size() if shared else 1
    module.log(name, value, batch_size=count * processes, on_step=False, on_epoch=True, sync_dist=True, **options)
