"""A loss that is NaN or infinite ends the run before it reaches the weights, and such weights are not saved."""

from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer


class NonFiniteGuard(L.Callback):
    """Raises ValueError, with the step and the batch, at the first thing that is NaN or infinite.

        the loss       before its backward pass
        the gradient   before its optimizer step, unless a gradient scaler (16-mixed) skips such a step itself
        weights        before they are written

    Nothing is replaced by zero and nothing is saved; earlier checkpoints stay as they are.
    """

    def __init__(self):
        self._batch = 0

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        self._batch = batch_idx

    def on_before_backward(self, trainer: L.Trainer, module: L.LightningModule, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            self._end(trainer, f"the loss is {loss.item()}", "nothing was learned from it")

    def on_before_optimizer_step(self, trainer: L.Trainer, module: L.LightningModule, optimizer: Optimizer) -> None:
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            return
        weights = (weight for group in optimizer.param_groups for weight in group["params"])
        if not torch.isfinite(get_total_norm([weight.grad for weight in weights if weight.grad is not None])):
            self._end(trainer, "the gradient is NaN or infinite where the loss is not", "no weight was changed by it")

    def on_save_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict) -> None:
        if not all(torch.isfinite(weight).all() for weight in module.parameters()):
            self._end(trainer, "weights are NaN or infinite", "they were not saved")

    def _end(self, trainer: L.Trainer, what: str, then: str) -> None:
        raise ValueError(
            f"{what} at step {trainer.global_step} (epoch {trainer.current_epoch}, batch {self._batch}): {then}; lower "
            "the learning rate or the gradient clip, look at that batch, or train in 32-true, and go on from the last "
            "checkpoint with --ckpt_path last"
        )
