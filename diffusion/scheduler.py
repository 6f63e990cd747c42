"""The closed forms that follow from a noise schedule: the forward process, its inversions and its posterior.

Ho et al. 2020, "Denoising Diffusion Probabilistic Models"; symbols as in the paper. Time steps count from 0 to T-1
(the paper's t is ours plus one), `alpha_bar` before step 0 is 1. Schedules are in `diffusion.noise_schedule`.

B batch, T steps.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Posterior(NamedTuple):
    """q(x_{t-1} | x_t, x_0), Ho et al. 2020, Eq. 6 and 7, and the other variance that a reverse step may have.

    `variance`, beta-tilde of Eq. 7, is the right one where all data lie at one point; `beta`, the variance of the
    forward step, where they are standard normal (Sec. 3.2). The truth for other data lies between them.
    """

    mean: Tensor
    variance: Tensor
    beta: Tensor


class NoiseScheduler(nn.Module):
    """alpha, beta and alpha_bar for T steps, and the equations written in them.

    Computed in float64 and kept as float32 buffers that are not saved (they follow from `betas`), whatever precision
    other layers use. Every method takes `t` as a (B,) tensor of steps in 0..T-1 and tensors (B, ...) of any further
    shape.

    Args:
        betas: (T,), each between 0 and 1, both excluded but for the last, which may be 1, as a
            `diffusion.noise_schedule.NoiseSchedule` gives them.
    """

    betas: Tensor
    alpha_bar: Tensor
    log_alpha_bar: Tensor
    half_log_snr: Tensor
    sqrt_alpha_bar: Tensor
    sqrt_one_minus_alpha_bar: Tensor

    def __init__(self, betas: Tensor):
        super().__init__()
        if betas.ndim != 1 or not len(betas) or not bool((betas > 0).all() & (betas[:-1] < 1).all() & (betas[-1] <= 1)):
            raise ValueError(
                "betas must be a (T,) tensor with every value between 0 and 1, both excluded; the last may be 1"
            )
        betas = betas.double()
        log_alpha_bar = torch.cumsum(torch.log1p(-betas), 0)
        alpha_bar = log_alpha_bar.exp()
        tables = {
            "betas": betas,
            "alpha_bar": alpha_bar,
            # Differences between two steps are taken from the logarithm: near step 0, where alpha_bar itself is almost
            # 1, it keeps its digits in float32. Its last entry, the one at index -1, stands before step 0.
            "log_alpha_bar": torch.cat([log_alpha_bar, torch.zeros(1, dtype=torch.float64)]),
            "half_log_snr": (log_alpha_bar - torch.log(-torch.expm1(log_alpha_bar))) / 2,  # lambda
            "sqrt_alpha_bar": alpha_bar.sqrt(),
            "sqrt_one_minus_alpha_bar": (-torch.expm1(log_alpha_bar)).sqrt(),
        }
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "NoiseScheduler":
        return super()._apply(lambda table: table.to(fn(table).device), recurse)  # type: ignore[no-untyped-call]

    @property
    def num_train_timesteps(self) -> int:
        """T, the number of steps that a network is trained on."""
        return len(self.betas)

    def signal_and_noise(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(alpha_bar) and sqrt(1 - alpha_bar), what x_0 and the noise are multiplied by, shaped as by `at`."""
        return at(self.sqrt_alpha_bar, t, like), at(self.sqrt_one_minus_alpha_bar, t, like)

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

    def snr(self, t: Tensor) -> Tensor:
        """Signal-to-noise ratio alpha_bar / (1 - alpha_bar), (B,). Kingma et al. 2021, Eq. 2."""
        return (2 * self.half_log_snr[t]).exp()

    def posterior(self, x0: Tensor, x_t: Tensor, t: Tensor, previous: Tensor | None = None) -> Posterior:
        """q(x_{t-1} | x_t, x_0). Ho et al. 2020, Eq. 6 and 7; the variance is 0 at t = 0.

        `previous`, (B,) steps below t, goes further back than t-1: the same equations for a schedule that visits only
        some of the steps (Nichol & Dhariwal 2021, Eq. 19); -1 stands before step 0.
        """
        previous = t - 1 if previous is None else previous
        here, there = at(self.log_alpha_bar, t, x_t), at(self.log_alpha_bar, previous, x_t)
        noise_here, noise_there = -torch.expm1(here), -torch.expm1(there)  # 1 - alpha_bar
        beta = -torch.expm1(here - there)
        x0_weight = beta * (there / 2).exp() / noise_here
        x_t_weight = noise_there * ((here - there) / 2).exp() / noise_here
        return Posterior(x0_weight * x0 + x_t_weight * x_t, beta * noise_there / noise_here, beta)


def at(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """table[t], shaped (B, 1, ..., 1) to broadcast against `like` (B, ...)."""
    return table[t].reshape(-1, *[1] * (like.ndim - 1)).to(like.dtype)
