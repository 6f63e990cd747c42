"""The optimizer and the learning rate of every module."""

import inspect
from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import optim

from lightning_modules.given_options import GivenOptions
from limits import number
from optim.lr_schedule import LRSchedule, LRSchedulerFactory, WarmupCosine
from optim.parameter_groups import OptimizerFactory, no_decay_on_vectors
from optim.training_length import planned_steps, total_steps

CAN_FUSE = (optim.Adam, optim.AdamW, optim.SGD)


class OptimizedModule(GivenOptions):
    """A LightningModule whose optimizer and learning-rate schedule are its user's choice.

    Args:
        lr: the highest learning rate.
        optimizer: makes the optimizer from parameter groups and the learning rate; any class of `torch.optim`. Its
            weight decay acts only on matrices and kernels.
        lr_schedule: factor of the learning rate at each step, by default `optim.lr_schedule.WarmupCosine`; or what
            makes a scheduler from the optimizer, such as a class of `torch.optim.lr_scheduler`, stepped at every step.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        optimizer: OptimizerFactory = optim.AdamW,
        lr_schedule: LRSchedule | LRSchedulerFactory | None = None,
    ):
        super().__init__()
        number("[0, inf)", lr=lr)
        self.make_optimizer = optimizer
        self.lr_schedule = WarmupCosine() if lr_schedule is None else lr_schedule

    def configure_optimizers(self) -> Any:
        """The optimizer, and its learning rate by `lr_schedule` at every step."""
        optimizer = self.make_optimizer(no_decay_on_vectors(self), self.hparams.lr)
        return scheduled(optimizer, self.lr_schedule, self.trainer)


def scheduled(
    optimizer: optim.Optimizer,
    schedule: LRSchedule | Callable[[int, float], float] | LRSchedulerFactory,
    trainer: L.Trainer,
    name: str | None = None,
    planned: float | None = None,
    unscaled: bool = False,
) -> OptimizerLRSchedulerConfig:
    """What `configure_optimizers` returns for an optimizer whose learning rates follow a schedule, step by step.

    The optimizer's step is fused where torch can. A fused step unscales gradients itself, which is too late for code
    that clips or reads them before the step.

    Args:
        optimizer: with the highest learning rates.
        schedule: factor at (step, total steps), or what makes a scheduler when it is called with the optimizer alone.
        trainer: the one that will train.
        name: of the learning rate in the logs.
        planned: how many steps this optimizer takes; by default `planned_steps` of the trainer.
        unscaled: whether the module needs gradients that are not scaled for half precision before the step.

    Raises ValueError for a scheduler that waits for a metric.
    """
    plugin = trainer.precision_plugin
    clips = trainer.gradient_clip_val and isinstance(plugin, MixedPrecision)  # Lightning refuses a fused step then
    if not clips and not (unscaled and getattr(plugin, "scaler", None) is not None):
        for one in getattr(optimizer, "optimizers", [optimizer]):
            if isinstance(one, CAN_FUSE):
                for group in one.param_groups:
                    if group.get("fused") is None and not group.get("foreach"):
                        group["fused"] = True
    if planned is None:
        planned = planned_steps(trainer)
    by_step = _scheduler(optimizer, schedule, lambda step: total_steps(trainer, step, planned))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": by_step, "interval": "step", "name": name}}


def _scheduler(
    optimizer: optim.Optimizer, schedule: Callable[..., Any], total: Callable[[int], float]
) -> optim.lr_scheduler.LRScheduler:
    try:
        inspect.signature(schedule).bind(optimizer)
    except TypeError:  # it takes the step and the total number of steps
        return optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, total(step)))
    made = schedule(optimizer)
    if isinstance(made, optim.lr_scheduler.ReduceLROnPlateau):
        raise ValueError(
            "lr_schedule: ReduceLROnPlateau waits for a metric, but learning rates change at every step; "
            "use another scheduler of torch.optim.lr_scheduler, or one of optim.lr_schedule"
        )
    return made
