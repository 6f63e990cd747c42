"""What all families do alike when they configure an optimizer."""

import math
from collections.abc import Callable

import lightning as L
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.plugins import MixedPrecision
from torch import nn, optim

from limits import number

DECAYS = {  # share of the highest learning rate by the share of the fall that is over
    "cosine": lambda share: 0.5 * (1 + math.cos(math.pi * share)),
    "linear": lambda share: 1 - share,
}
ENDLESS = 10_000  # steps, of which warm-up takes its share where a training has no known end


class Schedule(optim.lr_scheduler.LambdaLR):
    """A schedule made by `scheduled`."""


class OwnRates(L.LightningModule):
    """A module whose learning rates are those of its arguments whenever a training starts.

    Lightning's learning-rate finder changes `hparams.lr` after the optimizers are configured, and a checkpoint brings
    the rates of the run that wrote it: both would be without effect, or overrule what was asked for now.
    """

    def on_train_start(self) -> None:
        schedules = self.lr_schedulers()
        if schedules is None:  # within the finder's own search
            return
        configured = self.configure_optimizers()
        schedules = schedules if isinstance(schedules, list) else [schedules]
        configured = configured if isinstance(configured, tuple) else (configured,)
        for schedule, asked in zip(schedules, configured, strict=False):
            if not isinstance(schedule, Schedule) or schedule.base_lrs == asked["lr_scheduler"]["scheduler"].base_lrs:
                continue
            rates = asked["lr_scheduler"]["scheduler"].base_lrs
            schedule.base_lrs = rates
            for group, rate, factor in zip(schedule.optimizer.param_groups, rates, schedule.lr_lambdas, strict=True):
                group["initial_lr"], group["lr"] = rate, rate * factor(schedule.last_epoch)


def decay_matrices(module: nn.Module, weight_decay: float) -> list[dict]:
    """Parameter groups for a torch optimizer: weight decay on matrices and kernels, none on biases and scales.

    A vector's size does not add to what the network can express; pulling it to zero only slows learning.
    """
    number("[0, inf)", weight_decay=weight_decay)
    matrices = [p for p in module.parameters() if p.ndim >= 2]
    vectors = [p for p in module.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def fused(trainer: L.Trainer) -> bool:
    """Whether an optimizer's step may be fused: not in mixed precision with clipping.

    A fused step unscales gradients by itself, which is too late to clip them; Lightning refuses it.
    """
    return not (trainer.gradient_clip_val and isinstance(trainer.precision_plugin, MixedPrecision))


def total_steps(trainer: L.Trainer, step: int, planned: float) -> float:
    """How many steps a training will have made at its end, as far as that is known at one of them; infinite where not.

    With a `max_time` it ends at the planned steps or, should that be sooner, when the time is used up: at the speed up
    to now. A resumed run counts the time that was used before.

    Args:
        step: how many were made.
        planned: `trainer.estimated_stepping_batches`, which is negative for a loader without a length.
    """
    planned = planned if planned >= 0 else math.inf
    for timer in trainer.callbacks:
        if isinstance(timer, Timer) and timer.time_remaining() is not None:
            used = timer.time_elapsed()
            share = trainer.strategy.broadcast(used / max(used + timer.time_remaining(), 1e-9))
            planned = min(planned, step / share) if share else planned
    return planned


def fallen(step: float, total: float, decay: str = "cosine") -> float:
    """Share of the highest learning rate after a number of the steps in which it falls to 0; 1 where they never end."""
    return DECAYS[decay](min(1.0, step / total if total > 0 else 1.0))


def warmup_cosine(step: int, total: float, warmup: float, decay: str = "cosine") -> float:
    """Share of the highest learning rate: up linearly over `warmup * total` steps, then down to 0 as `DECAYS` say.

    Without an end, `total` infinite, it rises over `warmup * ENDLESS` steps and stays.
    """
    rise = warmup * (total if math.isfinite(total) else ENDLESS)
    if step < rise:
        return (step + 1) / (rise + 1)
    return fallen(step - rise, total - rise, decay)


def with_warmup_cosine(optimizer: optim.Optimizer, trainer: L.Trainer, warmup: float, decay: str = "cosine") -> dict:
    """What `configure_optimizers` returns for an optimizer whose learning rate follows `warmup_cosine` by steps."""
    planned = trainer.estimated_stepping_batches
    return scheduled(optimizer, lambda step: warmup_cosine(step, total_steps(trainer, step, planned), warmup, decay))


def scheduled(optimizer: optim.Optimizer, factor: Callable[[int], float], name: str | None = None) -> dict:
    """What `configure_optimizers` returns for an optimizer whose learning rates are multiplied by `factor(step)`."""
    schedule = Schedule(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step", "name": name}}
