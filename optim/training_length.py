"""How many optimizer steps a training will have made at its end.

`max_epochs` is the plan where it is given: `max_steps` and `max_time` beside it stop a run as a signal does, and it can
be resumed along the same schedule. Without `max_epochs` (-1) they are the plan themselves.
"""

import math

import lightning as L
from lightning.pytorch.callbacks import Timer


def planned_steps(trainer: L.Trainer, steps_per_batch: float = 1.0) -> float:
    """How many optimizer steps are planned; negative or infinite where that is not known.

    Args:
        trainer: its training data are set up if they are not yet.
        steps_per_batch: for manual optimization, how many steps `max_steps` counts for each batch: the answer is then a
            number of batches.
    """
    planned = trainer.estimated_stepping_batches
    if epochs := _planned_epochs(trainer):
        return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches) * epochs
    return planned / steps_per_batch


def total_steps(trainer: L.Trainer, step: int, planned: float) -> float:
    """How many steps a training will have made at its end, as far as that is known at one of them; infinite where not.

    With `max_time` and without `max_epochs` it ends at the planned steps or, should that be sooner, when the time is
    used up, at the speed up to now. A resumed run counts the time that was used before.

    Args:
        trainer: whose callbacks may hold a `Timer`.
        step: how many were made so far.
        planned: `planned_steps` of this trainer.
    """
    planned = planned if planned >= 0 else math.inf
    if _planned_epochs(trainer):
        return planned
    for timer in trainer.callbacks:  # type: ignore[attr-defined]  # which its callback connector sets
        remaining = timer.time_remaining() if isinstance(timer, Timer) else None
        if remaining is not None:
            used = timer.time_elapsed()
            share = trainer.strategy.broadcast(used / max(used + remaining, 1e-9))
            planned = min(planned, step / share) if share and step else planned
    return planned


def _planned_epochs(trainer: L.Trainer) -> int:
    """How many epochs of a known length are planned; 0 where none are."""
    epochs = trainer.max_epochs or 0
    return epochs if epochs > 0 and math.isfinite(trainer.num_training_batches) else 0
