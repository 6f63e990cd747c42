"""From noise to data: the reverse process, as functions with one signature.

    sampler(denoise, x, scheduler, steps, generator=None) -> x_0

`denoise(x_t, t) -> x_0` is any predictor of the clean data (see `diffusion.objectives` for how a network becomes one),
`x` is standard normal noise (B, ...), `steps` how many of the scheduler's T steps are visited.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from diffusion.scheduler import NoiseScheduler, at

Denoiser = Callable[[Tensor, Tensor], Tensor]


def timesteps(total: int, steps: int) -> list[int]:
    """`steps` of the steps 0..total-1, evenly spaced, descending, from total-1 down to 0 ("linspace" spacing)."""
    if not 1 <= steps <= total:
        raise ValueError(f"steps={steps} must lie between 1 and the scheduler's {total} training steps")
    return torch.linspace(total - 1, 0, steps, dtype=torch.float64).round().long().tolist()


@torch.no_grad()
def ddpm(
    denoise: Denoiser,
    x: Tensor,
    scheduler: NoiseScheduler,
    steps: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Ancestral sampling: Ho et al. 2020, Algorithm 2, with the variance of Eq. 7. The last step adds no noise.

    With fewer than T steps it is DDIM with eta = 1, which is the same process on the subsequence.
    """
    return ddim(denoise, x, scheduler, steps or scheduler.steps, generator, eta=1.0)


@torch.no_grad()
def ddim(
    denoise: Denoiser,
    x: Tensor,
    scheduler: NoiseScheduler,
    steps: int,
    generator: torch.Generator | None = None,
    eta: float = 0.0,
) -> Tensor:
    """Song et al. 2021, "Denoising Diffusion Implicit Models", Eq. 12. eta = 0 is deterministic, 1 is ancestral."""
    visited = timesteps(scheduler.steps, steps)
    for step, following in zip(visited, [*visited[1:], None], strict=True):
        t = torch.full((len(x),), step, device=x.device)
        x0 = denoise(x, t)
        if following is None:
            return x0
        noise = scheduler.noise_from_x0(x, x0, t)
        alpha_bar = at(scheduler.alpha_bar, t, x)
        alpha_bar_next = at(scheduler.alpha_bar, torch.full_like(t, following), x)
        # Eq. 16: sigma of the step from `step` to `following`
        sigma = eta * ((1 - alpha_bar_next) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_next)).sqrt()
        x = alpha_bar_next.sqrt() * x0 + (1 - alpha_bar_next - sigma**2).clamp(min=0).sqrt() * noise
        if eta > 0:
            x = x + sigma * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    raise AssertionError("unreachable: a schedule visits at least one step")
