"""What a training is, in one line at its beginning."""

import sys
from typing import Any

import lightning as L
import torch

from callbacks.pace import Pace, in_words

MEASURED_ON = 20  # batches


class StartLine(L.Callback):
    """Says in one line what is trained, on what, where, in which precision, and for how long.

    The minutes are measured on the first batches, without the very first one, so the line comes after 20 of them, or
    before the first validation where that is sooner.
    """

    def __init__(self) -> None:
        self._batches = 0
        self._pace: Pace | None = None

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._batches, self._pace = 0, None

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batches += 1
        if self._batches == 1:
            self._pace = Pace(trainer)
        if self._batches == MEASURED_ON:
            self._say(trainer, module)

    def on_validation_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if 0 < self._batches < MEASURED_ON:
            self._say(trainer, module)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self._batches < MEASURED_ON:
            self._say(trainer, module)

    def _say(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._batches = MEASURED_ON
        if trainer.is_global_zero:
            left = None if self._pace is None else self._pace.seconds_left()
            print(line(trainer, module, left), file=sys.stderr)


def line(trainer: L.Trainer, module: L.LightningModule, left: float | None = None) -> str:
    """The line.

    Args:
        trainer: that trains.
        module: that is trained.
        left: seconds of training steps to go.
    """
    count = sum(weight.numel() for weight in module.parameters() if weight.requires_grad)
    what = f"{type(module).__name__} of {count:,} parameters"
    parts = [what, f"{_data(trainer)}, {_length(trainer)}", f"{_device(trainer)}, {trainer.precision}"]
    if left is not None:
        besides = " and the validations" if trainer.enable_validation else ""
        parts.append(f"{in_words(left)}{besides}")
    return "; ".join(parts)


def _data(trainer: L.Trainer) -> str:
    data = getattr(trainer, "datamodule", None)
    if data is None:
        return "plain loaders"
    source = data.hparams.get("source")
    return type(data).__name__ + (f" from {source}" if isinstance(source, str) else "")


def _length(trainer: L.Trainer) -> str:
    batches, epochs, steps = trainer.num_training_batches, trainer.max_epochs or -1, trainer.max_steps
    if steps > 0:
        return f"{steps:,} steps"
    return f"{batches:,} batches an epoch, " + (f"{epochs:,} epochs" if epochs > 0 else "without an end")


def _device(trainer: L.Trainer) -> str:
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
    return name if trainer.world_size == 1 else f"{trainer.world_size} processes, each on {name}"
