"""A loss that is NaN or infinite ends the run, and what it made of the weights is not saved."""

import math
from typing import Any, NamedTuple

import lightning as L
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from devices import asynchronous

MOST = 1000  # numbers that wait on the device to be looked at


class Noted(NamedTuple):
    """A number that must be finite, still on its device."""

    value: Tensor  # ()
    where: str  # the step it is of
    words: str  # what to say of it where it is not finite; {} stands for the number
    then: str


class NonFiniteGuard(L.Callback):
    """Raises ValueError, with the step and the batch, at the first thing that is NaN or infinite.

        the loss       before its backward pass
        the gradient   before its optimizer step, unless a gradient scaler (16-mixed) skips such a step itself
        weights        before they are written

    Nothing is replaced by zero and nothing is saved; earlier checkpoints stay as they are.

    On a CPU this is so in the step itself, before anything has learned from it. To look at a number on another device
    is to wait for it, so there they are all looked at together: every `log_every_n_steps` steps of the trainer, before
    a checkpoint is written, and at the end of the training. The error still names the step in which it began.
    """

    def __init__(self):
        self._batch = 0
        self._noted: list[Noted] = []

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._noted = []

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        self._batch = batch_idx

    def on_before_backward(self, trainer: L.Trainer, module: L.LightningModule, loss: Tensor) -> None:
        self._note(trainer, loss, "the loss is {}", "nothing was learned from it")

    def on_before_optimizer_step(self, trainer: L.Trainer, module: L.LightningModule, optimizer: Optimizer) -> None:
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            return
        weights = (weight for group in optimizer.param_groups for weight in group["params"])
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if gradients:
            words = "the gradient is NaN or infinite where the loss is not"
            self._note(trainer, get_total_norm(gradients), words, "no weight was changed by it")

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer._logger_connector.should_update_logs or len(self._noted) >= MOST:
            self._look()

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._look()

    def on_save_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict) -> None:
        self._look()
        finite = [torch.isfinite(weight).all() for weight in module.parameters()]
        if finite and not torch.stack(finite).all():
            self._end("weights are NaN or infinite", self._where(trainer), "they were not saved")

    def _where(self, trainer: L.Trainer) -> str:
        return f"at step {trainer.global_step} (epoch {trainer.current_epoch}, batch {self._batch})"

    def _note(self, trainer: L.Trainer, value: Tensor, words: str, then: str) -> None:
        late = asynchronous(value.device)
        if late:
            then = "weights have changed since, and were not saved"
        self._noted.append(Noted(value.detach().clone(), self._where(trainer), words, then))
        if not late:
            self._look()

    def _look(self) -> None:
        """End the run at the first number that is not finite. The host waits for all of them once."""
        noted, self._noted = self._noted, []
        values = torch.stack([one.value for one in noted]).tolist() if noted else []
        for one, value in zip(noted, values, strict=True):
            if not math.isfinite(value):
                self._end(one.words.format(value), one.where, one.then)

    def _end(self, what: str, where: str, then: str) -> None:
        raise ValueError(
            f"{what} {where}: {then}; lower the learning rate or the gradient clip, look at that batch, or train in "
            "32-true, and go on from the last checkpoint with --ckpt_path last"
        )
