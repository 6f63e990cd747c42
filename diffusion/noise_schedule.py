"""Noise schedules: how much noise each diffusion step adds.

Time steps count from 0 to T-1 (the t of the papers is ours plus one), `alpha_bar` before step 0 is 1. What follows from
a schedule is in `diffusion.scheduler`.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from limits import number, whole

MAX_BETA = 0.999
MAX_TIMESTEPS = 1_000_000  # each has an entry in the tables of a scheduler
MAX_SIGNAL = 1e-2  # alpha_bar, the share of x_0 in the variance, up to which x_T counts as noise


class NoiseSchedule(ABC):
    """The variances beta of the forward process, for any number of steps."""

    @abstractmethod
    def __call__(self, num_train_timesteps: int) -> Tensor:
        """Betas (T,) in float64, each between 0 and 1, both excluded; the last may be 1. They end in noise.

        Raises ValueError where they do not.
        """


class LinearSchedule(NoiseSchedule):
    """Ho et al. 2020, Sec. 4: beta grows linearly.

    `start` and `end` are meant for 1,000 steps. With T others both are multiplied by 1000 / T, as in the code of Nichol
    & Dhariwal 2021: 50 steps with the betas of 1,000 would leave 60 % of x_0's variance in what should be noise.

    Args:
        start: beta of the first step.
        end: beta of the last step.
    """

    def __init__(self, start: float = 1e-4, end: float = 2e-2):
        if not 0 < start <= end:
            raise ValueError(f"start={start} and end={end} must be above 0, the end not below the start")
        self.start, self.end = start, end

    def __call__(self, num_train_timesteps: int) -> Tensor:
        whole(1, MAX_TIMESTEPS, num_train_timesteps=num_train_timesteps)
        scale = 1000 / num_train_timesteps
        betas = torch.linspace(scale * self.start, scale * self.end, num_train_timesteps, dtype=torch.float64)
        return _ending_in_noise(betas.clamp(max=MAX_BETA), self)


class SquaredCosineSchedule(NoiseSchedule):
    """Nichol & Dhariwal 2021, Eq. 17: alpha_bar follows a squared cosine.

    Args:
        offset: s of the paper, which keeps the first betas from being tiny.
        max_beta: the largest beta of a step.
    """

    def __init__(self, offset: float = 0.008, max_beta: float = MAX_BETA):
        number("[0, 1]", offset=offset)
        number("(0, 1)", max_beta=max_beta)
        self.offset, self.max_beta = offset, max_beta

    def __call__(self, num_train_timesteps: int) -> Tensor:
        whole(1, MAX_TIMESTEPS, num_train_timesteps=num_train_timesteps)
        time = torch.arange(num_train_timesteps + 1, dtype=torch.float64) / num_train_timesteps
        alpha_bar = torch.cos((time + self.offset) / (1 + self.offset) * math.pi / 2) ** 2
        return _ending_in_noise((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=self.max_beta), self)


class CosineSchedule(SquaredCosineSchedule):
    """Salimans & Ho 2022, Sec. 4: sqrt(alpha_bar) = cos(pi t / 2), the squared cosine without its offset.

    Its first steps are nearly free of noise: beta of step 0 is about (pi / 2T)^2.

    Args:
        max_beta: the largest beta of a step.
    """

    def __init__(self, max_beta: float = MAX_BETA):
        super().__init__(0.0, max_beta)


class FlowMatchingSchedule(NoiseSchedule):
    """Rectified flow: the straight path y = (1 - s) x_0 + s noise, at s = 1/T, 2/T, ..., 1.

    Liu et al. 2022, "Flow Straight and Fast"; Lipman et al. 2022, "Flow Matching for Generative Modeling". A network
    sees x_t = y / sqrt((1 - s)^2 + s^2), the same path at variance 1 throughout, as Karras et al. 2022 (EDM, c_in)
    scale inputs: alpha_bar = (1 - s)^2 / ((1 - s)^2 + s^2). At the last step nothing is left of x_0. The flow's own
    target is `diffusion.prediction_type.FlowPrediction`, its solvers are `EulerSampler` and `HeunSampler`; every other
    prediction type but `Epsilon`, and every sampler, serves as well.
    """

    def __call__(self, num_train_timesteps: int) -> Tensor:
        whole(1, MAX_TIMESTEPS, num_train_timesteps=num_train_timesteps)
        s = torch.arange(num_train_timesteps + 1, dtype=torch.float64) / num_train_timesteps
        alpha_bar = (1 - s) ** 2 / ((1 - s) ** 2 + s**2)
        return _ending_in_noise(1 - alpha_bar[1:] / alpha_bar[:-1], self)


def _ending_in_noise(betas: Tensor, schedule: NoiseSchedule) -> Tensor:
    """The betas, if they end in noise: samplers start from x_T as from a standard normal draw."""
    left = float(torch.log1p(-betas).sum().exp())
    if left > MAX_SIGNAL:
        raise ValueError(
            f"{type(schedule).__name__} with num_train_timesteps={len(betas)} leaves {left:.2g} of x_0's variance at "
            f"its last step, where sampling starts from noise alone; at most {MAX_SIGNAL:g} may be left: take more "
            "steps or larger betas"
        )
    return betas
