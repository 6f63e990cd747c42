"""Which of the T training steps a sampler visits: the discretisation of time."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral

import torch

from diffusion.scheduler import NoiseScheduler
from limits import number, whole


class Timesteps(ABC):
    """A choice of `steps` of the scheduler's T steps."""

    def __call__(self, scheduler: NoiseScheduler, steps: int) -> list[int]:
        """Different steps of 0..T-1, descending. ValueError for a number of steps that is not from 1 to T."""
        total = scheduler.num_train_timesteps
        if not (isinstance(steps, Integral) and 1 <= steps <= total):
            raise ValueError(f"steps={steps} must be a whole number from 1 to the total of {total} training steps")
        return self.spaced(scheduler, steps)

    @abstractmethod
    def spaced(self, scheduler: NoiseScheduler, steps: int) -> list[int]:
        """The steps, for a number of them that is from 1 to T."""


class UniformTimesteps(Timesteps):
    """Evenly spaced in t, from T-1 down to 0: what `diffusers` calls "linspace" spacing."""

    def spaced(self, scheduler: NoiseScheduler, steps: int) -> list[int]:
        last = scheduler.num_train_timesteps - 1
        return torch.linspace(last, 0, steps, dtype=torch.float64).round().long().tolist()


class TrailingTimesteps(Timesteps):
    """T-1 and then ever T / steps lower: the strides from step to step, and from the last one to x_0, are all the same.

    The spacing for few steps: the last of them still has noise to take away (Lin et al. 2024, "Common Diffusion Noise
    Schedules and Sample Steps Are Flawed", Table 2).
    """

    def spaced(self, scheduler: NoiseScheduler, steps: int) -> list[int]:
        total = scheduler.num_train_timesteps
        return [total - number * total // steps - 1 for number in range(steps)]


class LogSNRTimesteps(Timesteps):
    """As evenly spaced in lambda, half the log-SNR, as whole steps can be, down to 0.

    For solvers whose error depends on differences of lambda (Lu et al. 2022, "DPM-Solver", Sec. 3.4). A single step is
    the noisiest one, as with any other spacing.

    Args:
        lambda_min_clipped: the steps start at the first step where lambda is not above this. Later steps, where
            alpha_bar is below 5e-5 by default, show nothing of x_0 yet and would take up a third of the range.
    """

    def __init__(self, lambda_min_clipped: float = -5.0):
        number("[-inf, inf]", lambda_min_clipped=lambda_min_clipped)
        self.lambda_min_clipped = lambda_min_clipped

    def spaced(self, scheduler: NoiseScheduler, steps: int) -> list[int]:
        total, table = scheduler.num_train_timesteps, scheduler.half_log_snr.cpu()
        if steps == 1:
            return [total - 1]
        first = min(int((table > self.lambda_min_clipped).sum()), int(table.isfinite().sum()) - 1)
        even = torch.linspace(float(table[0]), float(table[first]), steps).to(table)  # by ascending steps
        nearest = (table - even[:, None]).abs().argmin(1)
        count = torch.arange(steps)
        rising = (nearest - count).cummax(0).values + count  # each at least one above the one before
        return rising.minimum(count + total - steps).flip(0).tolist()


class GivenTimesteps(Timesteps):
    """These steps, each below the one before it.

    Args:
        timesteps: the steps, from the noisiest down.
    """

    def __init__(self, timesteps: Sequence[int]):
        for step in timesteps:
            whole(0, timesteps=step)
        if not timesteps or any(step <= following for step, following in pairwise(timesteps)):
            raise ValueError(f"timesteps={list(timesteps)} must be at least one step, each below the one before it")
        self.timesteps = list(timesteps)

    def spaced(self, scheduler: NoiseScheduler, steps: int) -> list[int]:
        if steps != len(self.timesteps) or self.timesteps[0] >= scheduler.num_train_timesteps:
            raise ValueError(
                f"timesteps={self.timesteps} are {len(self.timesteps)} steps below {self.timesteps[0] + 1}; asked for "
                f"are {steps} of the scheduler's {scheduler.num_train_timesteps}"
            )
        return self.timesteps


def check_sampling_steps(sampling_steps: int, num_train_timesteps: int) -> None:
    """Raises ValueError where a model was not trained on so many steps."""
    if not (isinstance(sampling_steps, Integral) and 1 <= sampling_steps <= num_train_timesteps):
        raise ValueError(
            f"sampling_steps={sampling_steps} must be a whole number from 1 to num_train_timesteps="
            f"{num_train_timesteps}"
        )
