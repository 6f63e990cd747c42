"""The noise schedule of a DDPM and every closed form that follows from it.

Ho et al. 2020, "Denoising Diffusion Probabilistic Models"; symbols as in the paper. Time steps count from 0 to T-1
(the paper's t is ours plus one), `alpha_bar` before step 0 is 1.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn


def linear_betas(steps: int, start: float = 1e-4, end: float = 2e-2) -> Tensor:
    """Ho et al. 2020, Sec. 4: beta grows linearly. (T,) float64."""
    return torch.linspace(start, end, steps, dtype=torch.float64)


def squared_cosine_betas(steps: int, offset: float = 0.008, max_beta: float = 0.999) -> Tensor:
    """Nichol & Dhariwal 2021, Eq. 17: alpha_bar follows a squared cosine. (T,) float64."""
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    alpha_bar = torch.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta)


class Posterior(NamedTuple):
    """q(x_{t-1} | x_t, x_0), Ho et al. 2020, Eq. 6 and 7."""

    mean: Tensor
    variance: Tensor


class NoiseScheduler(nn.Module):
    """alpha, beta and alpha_bar for T steps, and the equations written in them.

    Computed in float64 and kept as float32 buffers that are not saved (they follow from `betas`). Every method takes
    `t` as a (B,) tensor of steps in 0..T-1 and tensors (B, ...) of any further shape.
    """

    def __init__(self, betas: Tensor):
        super().__init__()
        if betas.ndim != 1 or not len(betas) or not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError("betas must be a (T,) tensor with every value between 0 and 1, both excluded")
        betas = betas.double()
        alpha_bar = torch.cumprod(1 - betas, 0)
        previous = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
        tables = {
            "betas": betas,
            "alpha_bar": alpha_bar,
            "sqrt_alpha_bar": alpha_bar.sqrt(),
            "sqrt_one_minus_alpha_bar": (1 - alpha_bar).sqrt(),
            "posterior_x0_weight": betas * previous.sqrt() / (1 - alpha_bar),
            "posterior_xt_weight": (1 - previous) * (1 - betas).sqrt() / (1 - alpha_bar),
            "posterior_variance": betas * (1 - previous) / (1 - alpha_bar),
        }
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)

    @property
    def steps(self) -> int:
        """T, the number of training steps."""
        return len(self.betas)

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t drawn from q(x_t | x_0). Ho et al. 2020, Eq. 4."""
        return at(self.sqrt_alpha_bar, t, x0) * x0 + at(self.sqrt_one_minus_alpha_bar, t, x0) * noise

    def x0_from_noise(self, x_t: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Ho et al. 2020, Eq. 15: Eq. 4 solved for x_0."""
        return (x_t - at(self.sqrt_one_minus_alpha_bar, t, x_t) * noise) / at(self.sqrt_alpha_bar, t, x_t)

    def noise_from_x0(self, x_t: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """Eq. 4 solved for the noise."""
        return (x_t - at(self.sqrt_alpha_bar, t, x_t) * x0) / at(self.sqrt_one_minus_alpha_bar, t, x_t)

    def velocity(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0. Salimans & Ho 2022, Appendix D."""
        return at(self.sqrt_alpha_bar, t, x0) * noise - at(self.sqrt_one_minus_alpha_bar, t, x0) * x0

    def x0_from_velocity(self, x_t: Tensor, velocity: Tensor, t: Tensor) -> Tensor:
        """x_0 = sqrt(alpha_bar) x_t - sqrt(1 - alpha_bar) v. Salimans & Ho 2022, Appendix D."""
        return at(self.sqrt_alpha_bar, t, x_t) * x_t - at(self.sqrt_one_minus_alpha_bar, t, x_t) * velocity

    def posterior(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Posterior:
        """Mean and variance of q(x_{t-1} | x_t, x_0). Ho et al. 2020, Eq. 6 and 7; the variance is 0 at t = 0."""
        mean = at(self.posterior_x0_weight, t, x0) * x0 + at(self.posterior_xt_weight, t, x0) * x_t
        return Posterior(mean, at(self.posterior_variance, t, x0))


def at(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """table[t], shaped (B, 1, ..., 1) to broadcast against `like` (B, ...)."""
    return table[t].reshape(-1, *[1] * (like.ndim - 1)).to(like.dtype)
