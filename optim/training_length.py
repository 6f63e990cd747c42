"""How many optimizer steps a training will have made at its end."""

import math

import lightning as L
from lightning.pytorch.callbacks import Timer


def total_steps(trainer: L.Trainer, step: int, planned: float) -> float:
    """How many steps a training will have made at its end, as far as that is known at one of them; infinite where not.

    With a `max_time` it ends at the planned steps or, should that be sooner, when the time is used up: at the speed up
    to now. A resumed run counts the time that was used before.

    Args:
        trainer: whose callbacks may hold a `Timer`.
        step: how many were made.
        planned: `trainer.estimated_stepping_batches`, which is negative for a loader without a length.
    """
    planned = planned if planned >= 0 else math.inf
    for timer in trainer.callbacks:
        if isinstance(timer, Timer) and timer.time_remaining() is not None:
            used = timer.time_elapsed()
            share = trainer.strategy.broadcast(used / max(used + timer.time_remaining(), 1e-9))
            planned = min(planned, step / share) if share and step else planned
    return planned
