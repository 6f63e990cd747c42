"""From noise to data: the reverse process, as functions with one signature.

    sampler(denoise, x, scheduler, steps, generator=None, on_step=None) -> x_0

`denoise(x_t, t) -> x_0` is any predictor of the clean data (see `diffusion.objectives` for how a network becomes one,
`diffusion.guidance` and `diffusion.thresholding` for what may lie between), `x` is standard normal noise (B, ...),
`steps` how many of the scheduler's T steps are visited, `generator` draws what noise a sampler adds on the way: one for
the batch, or a list with one for each sample (`diffusion.noise`).
`on_step(number, x0)` is called after each of them, number = 1..steps, with the x_0 predicted there: for a progress bar,
or to look at. The last step returns the predicted x_0 itself: it adds no noise.
"""

from collections.abc import Callable
from numbers import Integral

import torch
from torch import Tensor

from diffusion.noise import Generators, randn
from diffusion.scheduler import MOST_STEPS, NoiseScheduler, at
from limits import number, whole

Denoiser = Callable[[Tensor, Tensor], Tensor]
OnStep = Callable[[int, Tensor], None]
Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # x_t, x_0, t, the step that follows -> x there


def timesteps(total: int, steps: int) -> list[int]:
    """`steps` of the steps 0..total-1, evenly spaced, descending, from total-1 down to 0 ("linspace" spacing)."""
    whole(1, MOST_STEPS, total=total)
    if not (isinstance(steps, Integral) and 1 <= steps <= total):
        raise ValueError(f"steps={steps} must be a whole number from 1 to the total of {total} training steps")
    return torch.linspace(total - 1, 0, steps, dtype=torch.float64).round().long().tolist()


def even_log_snr_timesteps(scheduler: NoiseScheduler, steps: int, quiet: float = -5.0) -> list[int]:
    """`steps` different steps, descending to 0, as evenly spaced in lambda, half the log-SNR, as whole steps can be.

    They start at the first step where lambda is not above `quiet`: later ones, where alpha_bar is below 5e-5, show
    nothing of x_0 yet and would take up a third of the range. For solvers whose error depends on differences of lambda
    (Lu et al. 2022, "DPM-Solver", Sec. 3.4). A single step is the noisiest, as with any other spacing.
    """
    number("[-inf, inf]", quiet=quiet)
    alone = timesteps(scheduler.steps, steps)
    if steps == 1:
        return alone
    table = scheduler.half_log_snr
    first = min(int((table > quiet).sum()), scheduler.steps - 1)
    wanted = torch.linspace(float(table[0]), float(table[first]), steps).to(table)  # ascending steps
    nearest = (table - wanted[:, None]).abs().argmin(1)
    count = torch.arange(steps, device=table.device)
    rising = (nearest - count).cummax(0).values + count  # each at least one above the one before
    return rising.minimum(count + scheduler.steps - steps).flip(0).tolist()


@torch.no_grad()
def ddpm(
    denoise: Denoiser,
    x: Tensor,
    scheduler: NoiseScheduler,
    steps: int | None = None,
    generator: Generators = None,
    on_step: OnStep | None = None,
    large_variance: bool = False,
) -> Tensor:
    """Ancestral sampling: Ho et al. 2020, Algorithm 2, by Eq. 6 and 7 from the predicted x_0. All T steps by default.

    `large_variance` takes beta for the variance in place of Eq. 7's (Sec. 3.2). With fewer than T steps it is the
    ancestral process of the subsequence.
    """

    def rule(x: Tensor, x0: Tensor, t: Tensor, following: Tensor) -> Tensor:
        posterior = scheduler.posterior(x0, x, t, following)
        variance = posterior.beta if large_variance else posterior.variance
        return posterior.mean + variance.sqrt() * randn(x.shape, generator, x.device, x.dtype)

    return _reverse(denoise, x, timesteps(scheduler.steps, scheduler.steps if steps is None else steps), rule, on_step)


@torch.no_grad()
def ddim(
    denoise: Denoiser,
    x: Tensor,
    scheduler: NoiseScheduler,
    steps: int,
    generator: Generators = None,
    on_step: OnStep | None = None,
    eta: float = 0.0,
) -> Tensor:
    """Song et al. 2021, "Denoising Diffusion Implicit Models", Eq. 12. eta = 0 is deterministic, 1 is ancestral."""
    if not 0 <= eta <= 1:
        raise ValueError(f"eta={eta} must lie between 0, deterministic, and 1, ancestral")

    def rule(x: Tensor, x0: Tensor, t: Tensor, following: Tensor) -> Tensor:
        noise = scheduler.noise_from_x0(x, x0, t)
        alpha_bar = at(scheduler.alpha_bar, t, x)
        alpha_bar_next = at(scheduler.alpha_bar, following, x)
        # Eq. 16: sigma of the step from t to the one that follows
        sigma = eta * ((1 - alpha_bar_next) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_next)).sqrt()
        x = alpha_bar_next.sqrt() * x0 + (1 - alpha_bar_next - sigma**2).clamp(min=0).sqrt() * noise
        return x + sigma * randn(x.shape, generator, x.device, x.dtype) if eta > 0 else x

    return _reverse(denoise, x, timesteps(scheduler.steps, steps), rule, on_step)


@torch.no_grad()
def dpm_solver(
    denoise: Denoiser,
    x: Tensor,
    scheduler: NoiseScheduler,
    steps: int,
    generator: Generators = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """DPM-Solver++(2M): Lu et al. 2022, "DPM-Solver++", Algorithm 2. Deterministic; `generator` is not used.

    Second order: the x_0 of two steps are extrapolated along lambda, half the log-SNR. Steps are spaced evenly in it:
    evenly spaced in t, lambda's last stride is several times as long as the one before, and extrapolation overshoots.
    """
    before: list[tuple[Tensor, Tensor]] = []  # lambda and x_0 of the step before

    def rule(x: Tensor, x0: Tensor, t: Tensor, following: Tensor) -> Tensor:
        sigma, sigma_next = (at(scheduler.sqrt_one_minus_alpha_bar, step, x) for step in (t, following))
        here, there = (at(scheduler.half_log_snr, step, x) for step in (t, following))
        data = x0
        if before:
            earlier, earlier_x0 = before.pop()
            data = x0 + (x0 - earlier_x0) * (there - here) / (here - earlier) / 2
        before.append((here, x0))
        return sigma_next / sigma * x - at(scheduler.sqrt_alpha_bar, following, x) * torch.expm1(here - there) * data

    return _reverse(denoise, x, even_log_snr_timesteps(scheduler, steps), rule, on_step)


SAMPLERS = {"ddpm": ddpm, "ddim": ddim, "dpm-solver": dpm_solver}


def _reverse(denoise: Denoiser, x: Tensor, visited: list[int], rule: Rule, on_step: OnStep | None) -> Tensor:
    for count, step in enumerate(visited, 1):
        t = torch.full((len(x),), step, device=x.device)
        x0 = denoise(x, t)
        if on_step is not None:
            on_step(count, x0)
        if count < len(visited):
            x = rule(x, x0, t, torch.full_like(t, visited[count]))
    return x0
