"""Which epoch data that change from epoch to epoch are read for."""

import lightning as L


def running_epoch(trainer: L.Trainer | None) -> int:
    """The number of the epoch that a trainer is in; 0 where it repeats a few batches (`overfit_batches`)."""
    if trainer is None or trainer.overfit_batches:  # type: ignore[attr-defined]  # set by a connector
        return 0
    return trainer.current_epoch
