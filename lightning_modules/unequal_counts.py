"""Means over other numbers of terms in each process."""

import lightning as L
import torch
import torch.distributed as dist
from torch import Tensor


def weight(module: L.LightningModule, count: Tensor) -> Tensor:
    """What this process's mean over `count` terms counts for among those of all: 1 on average, 1 where it is alone.

    Several processes step by the mean of their gradients. That of the loss over all terms, n_1 + n_2 + ... of them, is
    the mean of the processes' gradients each times n_r / mean(n).
    """
    return count / module.trainer.strategy.reduce(count.to(torch.get_default_dtype(), copy=True))


def log_mean(module: L.LightningModule, name: str, value: Tensor, count: int, **options) -> None:
    """Log the mean of `count` terms so that its mean over an epoch is that of all terms of all processes.

    Lightning divides the sum of counts by the number of processes in whole numbers: 250 and 251 rows would count for
    250 each. Multiplied by that number before, nothing is lost.
    """
    shared = dist.is_available() and dist.is_initialized()
    processes = dist.get_world_size() if shared else 1
    module.log(name, value, batch_size=count * processes, on_step=False, on_epoch=True, sync_dist=True, **options)
