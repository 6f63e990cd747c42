"""What a network predicts: the noise, x_0 or a velocity. Each has a target to train on and a way back to x_0.

The names are those of `diffusers`: epsilon, sample, v_prediction, flow_prediction.

B batch.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from diffusion.scheduler import NoiseScheduler


class PredictionType(ABC):
    """Functions of tensors (B, ...) and steps `t` (B,)."""

    @abstractmethod
    def target(self, scheduler: NoiseScheduler, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network should predict, (B, ...)."""

    @abstractmethod
    def x0(self, scheduler: NoiseScheduler, x_t: Tensor, predicted: Tensor, t: Tensor) -> Tensor:
        """The x_0 that a prediction at x_t stands for, (B, ...)."""

    @abstractmethod
    def x0_error(self, snr: Tensor) -> Tensor:
        """The squared error of that x_0 where the squared error of the prediction is 1: (B,) -> (B,)."""

    def check(self, scheduler: NoiseScheduler) -> None:
        """Raises ValueError for a scheduler at one of whose steps the prediction does not say x_0; by default never."""
        return


class Epsilon(PredictionType):
    """The noise: Ho et al. 2020, Eq. 14."""

    def target(self, scheduler: NoiseScheduler, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return noise

    def x0(self, scheduler: NoiseScheduler, x_t: Tensor, predicted: Tensor, t: Tensor) -> Tensor:
        return scheduler.x0_from_noise(x_t, predicted, t)

    def x0_error(self, snr: Tensor) -> Tensor:
        return 1 / snr

    def check(self, scheduler: NoiseScheduler) -> None:
        if scheduler.alpha_bar[-1] == 0:
            raise ValueError(
                "the last step of this noise_schedule is noise alone, and prediction_type Epsilon says nothing about "
                "x_0 there; take FlowPrediction, VPrediction or Sample"
            )


class Sample(PredictionType):
    """x_0 itself."""

    def target(self, scheduler: NoiseScheduler, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return x0

    def x0(self, scheduler: NoiseScheduler, x_t: Tensor, predicted: Tensor, t: Tensor) -> Tensor:
        return predicted

    def x0_error(self, snr: Tensor) -> Tensor:
        return torch.ones_like(snr)


class VPrediction(PredictionType):
    """The velocity: Salimans & Ho 2022, Appendix D."""

    def target(self, scheduler: NoiseScheduler, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return scheduler.velocity(x0, noise, t)

    def x0(self, scheduler: NoiseScheduler, x_t: Tensor, predicted: Tensor, t: Tensor) -> Tensor:
        return scheduler.x0_from_velocity(x_t, predicted, t)

    def x0_error(self, snr: Tensor) -> Tensor:
        return 1 / (1 + snr)


class FlowPrediction(PredictionType):
    """noise - x_0, the velocity of the straight path: Liu et al. 2022, Eq. 1, with time from data to noise."""

    def target(self, scheduler: NoiseScheduler, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return noise - x0

    def x0(self, scheduler: NoiseScheduler, x_t: Tensor, predicted: Tensor, t: Tensor) -> Tensor:
        signal, sigma = scheduler.signal_and_noise(t, x_t)
        return (x_t - sigma * predicted) / (signal + sigma)

    def x0_error(self, snr: Tensor) -> Tensor:
        return 1 / (1 + snr.sqrt()).square()
