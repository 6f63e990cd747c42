"""Learning-rate schedules: functions of the step, counted from 0."""

import math
from collections.abc import Callable

from numpy_core import checks

Schedule = Callable[[int], float]


def constant(lr: float) -> Schedule:
    """lr at every step."""
    checks.between(0, math.inf, lr=lr)
    return lambda step: lr


def step_decay(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """lr, multiplied by `factor`, from 0 to 1, after each `every` steps."""
    checks.between(0, math.inf, lr=lr)
    checks.positive(every=every)
    checks.shares(factor=factor)
    return lambda step: lr * factor ** (step // every)


def cosine(lr: float, steps: int, warmup: int = 0, final: float = 0.0) -> Schedule:
    """Up along a line for `warmup` steps, then from lr down to `final` along half a cosine until step `steps`.

    Loshchilov and Hutter 2017, Eq. 5, without restarts.
    """
    checks.between(0, math.inf, lr=lr, final=final)
    checks.positive(steps=steps)
    if not checks.whole(warmup) or not 0 <= warmup < steps:
        raise ValueError(f"warmup={warmup!r} must be a whole number from 0 to steps-1 = {steps - 1}")

    def at(step: int) -> float:
        if step < warmup:
            return lr * (step + 1) / (warmup + 1)
        done = min(1.0, (step - warmup) / (steps - warmup))
        return final + 0.5 * (lr - final) * (1 + math.cos(math.pi * done))

    return at
