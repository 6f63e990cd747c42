"""Which steps a network is trained at, and how often each.

B batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from diffusion.noise import Generators, randint, randn
from limits import number


class TimestepDistribution(ABC):
    """Of the steps 0..T-1 that training data are noised to."""

    @abstractmethod
    def __call__(
        self,
        num_train_timesteps: int,
        shape: Sequence[int],
        generator: Generators = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Steps (B, ...), drawn by a generator for the batch, one for each sample, or torch's own (None)."""


class Uniform(TimestepDistribution):
    """Every step equally often: Ho et al. 2020, Algorithm 1."""

    def __call__(
        self,
        num_train_timesteps: int,
        shape: Sequence[int],
        generator: Generators = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        return randint(num_train_timesteps, shape, generator, device)


class LogitNormal(TimestepDistribution):
    """The logit of the share s of the steps is normal: Esser et al. 2024 (Stable Diffusion 3), Eq. 19.

    Steps in the middle, where the prediction is hardest, come more often than those at either end.

    Args:
        mean: of the logit; above 0 for more noise.
        std: of the logit.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0):
        number("[-100, 100]", mean=mean)
        number("(0, 100]", std=std)
        self.mean, self.std = mean, std

    def __call__(
        self,
        num_train_timesteps: int,
        shape: Sequence[int],
        generator: Generators = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        share = torch.sigmoid(self.mean + self.std * randn(shape, generator, device, torch.float64))
        return (share * num_train_timesteps).long().clamp(max=num_train_timesteps - 1)
