"""What every module does alike about optimizers and learning rates."""

from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.plugins import MixedPrecision
from torch import optim

from limits import number
from optim.lr_schedule import LRSchedule, WarmupCosine
from optim.parameter_groups import OptimizerFactory, no_decay_on_vectors
from optim.training_length import planned_steps, total_steps

CAN_FUSE = (optim.Adam, optim.AdamW, optim.SGD)


class StepSchedule(optim.lr_scheduler.LambdaLR):
    """Learning rates by a function of the step, which a module made (`scheduled`)."""


class OptimizedModule(L.LightningModule):
    """A LightningModule whose optimizer and learning-rate schedule are its user's choice.

    The learning rates are those of its arguments whenever a training starts: Lightning's learning-rate finder changes
    `hparams.lr` after the optimizers are configured, and a checkpoint brings the rates of the run that wrote it.

    Args:
        lr: the highest learning rate.
        optimizer: makes an optimizer of parameter groups and the learning rate; any class of `torch.optim`. Its weight
            decay acts on matrices and kernels alone.
        lr_schedule: factor of the learning rate at each step; by default `optim.lr_schedule.WarmupCosine`.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        optimizer: OptimizerFactory = optim.AdamW,
        lr_schedule: LRSchedule | None = None,
    ):
        super().__init__()
        number("[0, inf)", lr=lr)
        self.make_optimizer = optimizer
        self.lr_schedule = WarmupCosine() if lr_schedule is None else lr_schedule

    def configure_optimizers(self) -> Any:
        """The optimizer, and its learning rate by `lr_schedule` at every step."""
        optimizer = self.make_optimizer(no_decay_on_vectors(self), self.hparams.lr)
        return scheduled(optimizer, self.lr_schedule, self.trainer)

    def on_train_start(self) -> None:
        schedules = self.lr_schedulers()
        if schedules is None:  # within the finder's own search
            return
        configured = self.configure_optimizers()
        schedules = schedules if isinstance(schedules, list) else [schedules]
        configured = configured if isinstance(configured, tuple) else (configured,)
        for schedule, asked in zip(schedules, configured, strict=False):
            if not isinstance(schedule, StepSchedule):
                continue
            rates = asked["lr_scheduler"]["scheduler"].base_lrs
            if schedule.base_lrs == rates:
                continue
            schedule.base_lrs = rates
            for group, rate, factor in zip(schedule.optimizer.param_groups, rates, schedule.lr_lambdas, strict=True):
                group["initial_lr"], group["lr"] = rate, rate * factor(schedule.last_epoch)


def scheduled(
    optimizer: optim.Optimizer, schedule: Callable[[int, float], float], trainer: L.Trainer, name: str | None = None
) -> dict[str, Any]:
    """What `configure_optimizers` returns for an optimizer whose learning rates follow a schedule, step by step.

    The optimizer's step is fused where torch can, but not in mixed precision with clipping: a fused step unscales
    gradients by itself, which is too late to clip them, and Lightning refuses it.

    Args:
        optimizer: with the highest learning rates.
        schedule: factor at (step, total steps).
        trainer: that will train.
        name: of the learning rate in the logs.
    """
    clips = trainer.gradient_clip_val and isinstance(trainer.precision_plugin, MixedPrecision)
    for one in getattr(optimizer, "optimizers", [optimizer]):
        if isinstance(one, CAN_FUSE) and not clips:
            for group in one.param_groups:
                if group.get("fused") is None and not group.get("foreach"):
                    group["fused"] = True
    planned = planned_steps(trainer)
    by_step = StepSchedule(optimizer, lambda step: schedule(step, total_steps(trainer, step, planned)))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": by_step, "interval": "step", "name": name}}
