"""How far a training has come, and how long the rest of it takes."""

import math
import time

import lightning as L
from lightning.pytorch.callbacks import Timer


class Pace:
    """The speed of a training since this object was made: its first batches, which are slow, can be left out.

    Args:
        trainer: that trains.
    """

    def __init__(self, trainer: L.Trainer):
        self.trainer = trainer
        self._begin, self._done_before = time.monotonic(), done(trainer)

    def seconds_left(self) -> float | None:
        """Seconds until the training ends, at the speed up to now; None where that is not known."""
        share = done(self.trainer)
        gained = share - self._done_before
        return (time.monotonic() - self._begin) * (1 - share) / gained if gained > 0 else None


def done(trainer: L.Trainer) -> float:
    """The share of a training that is done, in [0, 1]: of its epochs, steps or time, whichever ends it first."""
    shares, loop = [0.0], trainer.fit_loop.epoch_loop
    batches = (trainer.max_epochs or 0) * trainer.num_training_batches
    if batches > 0 and math.isfinite(batches):
        shares.append((loop.total_batch_idx + 1) / batches)
    if trainer.max_steps > 0:
        shares.append(trainer.global_step / trainer.max_steps)
    for timer in trainer.callbacks:  # type: ignore[attr-defined]  # which its callback connector sets
        remaining = timer.time_remaining() if isinstance(timer, Timer) else None
        if remaining is not None:
            shares.append(timer.time_elapsed() / max(timer.time_elapsed() + remaining, 1e-9))
    return min(1.0, max(shares))


def in_words(seconds: float) -> str:
    """A duration to a user.

    >>> in_words(20), in_words(100), in_words(60 * 60 * 5)
    ('less than a minute', 'about 2 minutes', 'about 5.0 hours')
    """
    minutes = seconds / 60
    if minutes < 1:
        return "less than a minute"
    if minutes < 100:
        return f"about {minutes:.0f} minute{'s' if round(minutes) > 1 else ''}"
    return f"about {minutes / 60:.1f} hours"
