"""A metric told to another program after every validation."""

from collections.abc import Callable

import lightning as L


class ValidationReport(L.Callback):
    """Tells one metric after every validation, and ends the training where the answer says so.

    The run ends as one does whose time is up: with a `last.ckpt` that it can go on from.

    Args:
        monitor: the metric, such as val/accuracy.
        tell: called in the first process with `trainer.global_step` and the metric's value; True ends the training.
    """

    def __init__(self, monitor: str, tell: Callable[[int, float], bool]):
        self.monitor, self.tell = monitor, tell

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.sanity_checking or self.monitor not in trainer.callback_metrics:
            return
        value = float(trainer.callback_metrics[self.monitor])
        ends = trainer.is_global_zero and bool(self.tell(trainer.global_step, value))
        trainer.should_stop |= trainer.strategy.broadcast(ends)
