"""Where on its learning-rate schedule a resumed run goes on."""

import math

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console


class LRScheduleState(L.Callback):
    """Says where a resumed run goes on along another learning-rate schedule than it came by.

    Another `max_steps`, `max_epochs` or `max_time` is another schedule; the next step takes the rate that this run's
    names for it (`lightning_modules.given_options`). One line says so where the planned number of steps is another one.
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
        before, self._before, self._planned = self._before, None, trainer.estimated_stepping_batches
        if trainer.ckpt_path is None:
            return
        if before not in (None, self._planned):
            _say(
                f"the learning rate goes on along the schedule of {self._planned} steps; up to step "
                f"{trainer.global_step} it was that of {before}"
            )


@rank_zero_only
def _say(message: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(message)
