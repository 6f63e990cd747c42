"""Where on its learning-rate schedule a resumed run goes on."""

import math
import sys

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from optim.training_length import planned_steps


class LRScheduleState(L.Callback):
    """Says so where a resumed run goes on along a different learning-rate schedule.

    Another `max_epochs`, or without it another `max_steps` or `max_time`, is another schedule; the next step takes the
    rate that this run's schedule gives for it (`lightning_modules.given_options`). One line says so where the planned
    number of steps differs, and one where `max_steps` stops a run before the end that its schedule is planned for
    (`optim.training_length`).
    """

    def __init__(self):
        self._planned: float = math.inf
        self._before: float | None = None  # of the run that is resumed

    def state_dict(self) -> dict[str, float]:
        return {"planned": self._planned}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self._before = state_dict["planned"]

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
        if not schedules:
            return
        before, self._before, self._planned = self._before, None, planned_steps(trainer)
        if 0 < trainer.max_steps < self._planned:
            _say(
                f"max_steps={trainer.max_steps} stops this run before max_epochs={trainer.max_epochs}, for which its "
                "learning rate is planned; --trainer.max_epochs -1 plans it for max_steps"
            )
        if trainer.ckpt_path is None:
            return
        if before not in (None, self._planned):
            _say(
                f"the learning rate goes on along the schedule of {self._planned} steps; up to step "
                f"{trainer.global_step} it was that of {before}"
            )


@rank_zero_only
def _say(message: str) -> None:
    print(message, file=sys.stderr)
