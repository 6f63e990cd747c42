"""What stops a run within an epoch, without a signal: words for the command line of `train.py fit`."""

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping, Timer


class ShouldStop(L.Callback):
    """Sets `trainer.should_stop` at the end of a batch, counted from 1 over all epochs."""

    def __init__(self, batch: int):
        self.batch = batch

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        trainer.should_stop |= trainer.fit_loop.total_batch_idx + 1 == self.batch


class TimeIsUp(Timer):
    """What `max_time` is to the Trainer, of a clock that strikes at the end of a batch."""

    def __init__(self, batch: int):
        super().__init__(duration={"hours": 1})
        self.batch, self._batches = batch, 0

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self._batches = trainer.fit_loop.total_batch_idx + 1
        super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)

    def time_elapsed(self, stage="train"):
        return 3600.0 if self._batches >= self.batch else 0.0


class StopsEarly(EarlyStopping):
    """Stops at the first validation at or after the end of a batch."""

    def __init__(self, batch: int, monitor: str):
        super().__init__(monitor, patience=1, verbose=False)
        self.batch = batch

    def _evaluate_stopping_criteria(self, current):
        return self._batches >= self.batch, None

    def on_validation_end(self, trainer, module):
        self._batches = trainer.fit_loop.total_batch_idx + 1
        super().on_validation_end(trainer, module)


def with_callback(name: str, **arguments) -> list[str]:
    """Words that add a callback of this file."""
    given = [f"--trainer.callbacks.{key}={value}" for key, value in arguments.items()]
    return [f"--trainer.callbacks+=tests.stops.{name}", *given]
