"""Learning-rate schedules: what share of the highest learning rate each optimizer step takes.

A schedule is any callable of (step, total), of which the classes here are the common ones. `total` is how many steps
the training will have made at its end (`optim.training_length.total_steps`); it is infinite where nothing ends it.
Where a module takes a schedule, it takes one of torch's own schedulers as well.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from limits import number

LRSchedulerFactory = Callable[[Optimizer], LRScheduler]
"""An optimizer -> a scheduler, stepped at every optimizer step; any class of `torch.optim.lr_scheduler` with values for
its other arguments is one, except `ReduceLROnPlateau`, which waits for a metric."""

ENDLESS = 10_000  # steps; where a training has no known end, a share is of these


class LRSchedule(ABC):
    """A function of the step (from 0) and the total number of steps that gives a factor of the learning rate."""

    @abstractmethod
    def __call__(self, step: int, total: float) -> float:
        """The factor at a step, usually from 0 to 1."""


class Constant(LRSchedule):
    """The highest learning rate at every step, after a linear warmup.

    Args:
        warmup: as `WarmupCosine`'s.
    """

    def __init__(self, warmup: float = 0.0):
        self.warmup = _checked(warmup)

    def __call__(self, step: int, total: float) -> float:
        return _rise(step, _warmup_steps(self.warmup, total))


class WarmupCosine(LRSchedule):
    """Linear warmup, then half a cosine down to `final` at the last step (Loshchilov & Hutter 2017, Eq. 5).

    Without an end it stays at 1 after the warmup.

    Args:
        warmup: below 1, the share of all steps in which the factor rises linearly; from 1 on, their number. For a
            training without an end, the share of 10,000 steps.
        final: the factor at the end.
    """

    def __init__(self, warmup: float = 0.1, final: float = 0.0):
        self.warmup = _checked(warmup)
        number("[0, inf)", final=final)
        self.final = final

    def __call__(self, step: int, total: float) -> float:
        rise = _warmup_steps(self.warmup, total)
        if step < rise:
            return _rise(step, rise)
        return self.final + (1 - self.final) * self._fall(_share(step - rise, total - rise))

    def _fall(self, share: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * share))


class WarmupLinear(WarmupCosine):
    """Linear warmup, then a straight line down to `final` at the last step; arguments as `WarmupCosine`'s."""

    def _fall(self, share: float) -> float:
        return 1 - share


def _checked(warmup: float) -> float:
    number("[0, inf)", warmup=warmup)
    return warmup


def _warmup_steps(warmup: float, total: float) -> float:
    if warmup < 1:
        return warmup * (total if math.isfinite(total) else ENDLESS)
    return min(warmup, total)


def _rise(step: int, steps: float) -> float:
    return min(1.0, (step + 1) / (steps + 1))


def _share(step: float, steps: float) -> float:
    """The share of `steps` that is over, from 0 to 1; 1 where there are none."""
    return min(1.0, step / steps if steps > 0 else 1.0)
