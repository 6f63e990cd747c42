"""How often the metrics of training steps are logged."""

import math

import lightning as L

from optim.training_length import planned_steps

POINTS = 20  # of every curve, at least
LONGEST = 50  # steps: Lightning's own default


class LogInterval(L.Callback):
    """Sets `trainer.log_every_n_steps` so that a run of any length logs 20 points of its training loss, or each step.

    A long run logs every 50th step, as Lightning does by itself.
    """

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        trainer.log_every_n_steps = interval(planned_steps(trainer))  # type: ignore[attr-defined]  # set by a connector


def interval(steps: float) -> int:
    """Every how many of these steps one is logged; infinitely many or negative ones stand for a length not known.

    >>> interval(47), interval(470), interval(9400), interval(math.inf)
    (2, 23, 50, 50)
    """
    return max(1, min(LONGEST, int(steps) // POINTS)) if 0 <= steps < math.inf else LONGEST
