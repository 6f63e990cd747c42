"""Which callbacks a trainer's own flags turn off."""

from collections.abc import Iterable, Mapping

import lightning as L
from lightning.pytorch.callbacks import (
    Checkpoint,
    DeviceStatsMonitor,
    LearningRateMonitor,
    ModelCheckpoint,
    ProgressBar,
    ThroughputMonitor,
)

from callbacks.resume.graceful_shutdown import GracefulShutdown, Stop

NEED_A_LOGGER = (LearningRateMonitor, ThroughputMonitor, DeviceStatsMonitor)


def wanted(callbacks: Iterable[L.Callback], trainer: Mapping[str, object]) -> list[L.Callback]:
    """The callbacks that the `Trainer`'s arguments leave on; Lightning would raise for one whose kind is off.

    `logger`, `enable_checkpointing`, `enable_progress_bar`, `barebones` and `fast_dev_run` turn kinds off, a second
    progress bar replaces the first, and without validation there is no checkpoint by a validation metric.
    """
    barebones = trainer["barebones"]
    off: tuple[type, ...] = ()
    if barebones or trainer["logger"] is False or trainer["fast_dev_run"]:
        off += NEED_A_LOGGER
    if barebones or trainer["enable_progress_bar"] is False:
        off += (ProgressBar,)
    if barebones or trainer["enable_checkpointing"] is False:
        off += (Checkpoint,)
        callbacks = [Stop() if isinstance(callback, GracefulShutdown) else callback for callback in callbacks]
    kept = [callback for callback in callbacks if not isinstance(callback, off)]
    if trainer["limit_val_batches"] == 0:
        kept = [callback for callback in kept if not _follows_validation(callback)]
    bars = [callback for callback in kept if isinstance(callback, ProgressBar)]
    return [callback for callback in kept if callback not in bars[1:]]


def _follows_validation(callback: L.Callback) -> bool:
    return isinstance(callback, ModelCheckpoint) and str(callback.monitor).startswith("val/")
