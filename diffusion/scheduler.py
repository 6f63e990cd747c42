"""The noise schedule of a DDPM and every closed form that follows from it.

Ho et al. 2020, "Denoising Diffusion Probabilistic Models"; symbols as in the paper. Time steps count from 0 to T-1
(the paper's t is ours plus one), `alpha_bar` before step 0 is 1.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from limits import number, whole

MAX_BETA = 0.999
MOST_STEPS = 1_000_000  # an entry each in the tables of a scheduler
NOISE = 1e-2  # alpha_bar, the share of x_0 in the variance, below which x_T counts as noise


def linear_betas(steps: int, start: float = 1e-4, end: float = 2e-2) -> Tensor:
    """Ho et al. 2020, Sec. 4: beta grows linearly. (T,) float64.

    `start` and `end` are meant for 1,000 steps. With T others both are multiplied by 1000 / T, as in the code of Nichol
    & Dhariwal 2021: 50 steps with the betas of 1,000 would leave 60 % of x_0's variance in what is taken for noise.
    """
    whole(1, MOST_STEPS, steps=steps)
    scale = 1000 / steps
    if not 0 < start <= end:
        raise ValueError(f"start={start} and end={end} must be above 0, the end not below the start")
    betas = torch.linspace(scale * start, scale * end, steps, dtype=torch.float64).clamp(max=MAX_BETA)
    return _to_noise(betas, "linear")


def squared_cosine_betas(steps: int, offset: float = 0.008, max_beta: float = MAX_BETA) -> Tensor:
    """Nichol & Dhariwal 2021, Eq. 17: alpha_bar follows a squared cosine. (T,) float64."""
    whole(1, MOST_STEPS, steps=steps)
    number("[0, 1]", offset=offset)
    number("(0, 1)", max_beta=max_beta)
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    alpha_bar = torch.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2
    return _to_noise((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta), "squared cosine")


def cosine_betas(steps: int, max_beta: float = MAX_BETA) -> Tensor:
    """Salimans & Ho 2022, Sec. 4: sqrt(alpha_bar) = cos(pi t / 2), the squared cosine without its offset. (T,) float64.

    Its first steps are nearly free of noise: beta of step 0 is about (pi / 2T)^2.
    """
    return squared_cosine_betas(steps, 0.0, max_beta)


def _to_noise(betas: Tensor, name: str) -> Tensor:
    """The betas, if they end in noise: samplers start from x_T as from a standard normal draw."""
    left = float(torch.log1p(-betas).sum().exp())
    if left > NOISE:
        raise ValueError(
            f"the {name} schedule of steps={len(betas)} leaves {left:.2g} of x_0's variance at its last step, where "
            f"sampling starts from noise alone; at most {NOISE:g} may be left: take more steps or larger betas"
        )
    return betas


SCHEDULES = {"linear": linear_betas, "cosine": cosine_betas, "squared-cosine": squared_cosine_betas}


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

    Computed in float64 and kept as float32 buffers that are not saved (they follow from `betas`), whatever the layers
    beside them compute in. Every method takes `t` as a (B,) tensor of steps in 0..T-1 and tensors (B, ...) of any
    further shape.
    """

    def __init__(self, betas: Tensor):
        super().__init__()
        if betas.ndim != 1 or not len(betas) or not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError("betas must be a (T,) tensor with every value between 0 and 1, both excluded")
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

    def _apply(self, fn, recurse: bool = True) -> "NoiseScheduler":
        return super()._apply(lambda table: table.to(fn(table).device), recurse)

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
