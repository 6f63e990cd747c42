"""What a network predicts: the noise, x_0 or the velocity. Each has a target to train on and a way back to x_0.

The names are those of `diffusers`: epsilon, sample, v_prediction.

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


class Epsilon(PredictionType):
    """The noise: Ho et al. 2020, Eq. 14."""

    def target(self, scheduler: NoiseScheduler, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return noise

    def x0(self, scheduler: NoiseScheduler, x_t: Tensor, predicted: Tensor, t: Tensor) -> Tensor:
        return scheduler.x0_from_noise(x_t, predicted, t)

    def x0_error(self, snr: Tensor) -> Tensor:
        return 1 / snr


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
