"""From noise to data: the reverse process.

A sampler is called with a `denoise(x_t, t) -> x_0`, which is any predictor of the clean data. How a network becomes one
is in `diffusion.prediction_type`; `diffusion.guidance` and `diffusion.thresholding` may lie between.

B batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy

import torch
from torch import Tensor

from diffusion.noise import Generators, randn
from diffusion.scheduler import NoiseScheduler, at
from diffusion.timesteps import GivenTimesteps, LogSNRTimesteps, Timesteps, TrailingTimesteps, UniformTimesteps

Denoiser = Callable[[Tensor, Tensor], Tensor]
OnStep = Callable[[int, Tensor], None]
Update = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""x_t (B, ...), the x_0 predicted there (B, ...), t (B,), the step that follows (B,) -> x at that step (B, ...)."""


class Sampler(ABC):
    """Visits some of the scheduler's steps, predicts x_0 at each, and returns the last prediction.

    A subclass says how x gets from one step to the next (`update`).

    Args:
        timesteps: which steps are visited; evenly spaced in t by default.
    """

    def __init__(self, timesteps: Timesteps | None = None):
        self.timesteps = UniformTimesteps() if timesteps is None else timesteps

    @torch.no_grad()
    def __call__(
        self,
        denoise: Denoiser,
        x: Tensor,
        scheduler: NoiseScheduler,
        steps: int,
        generator: Generators = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Standard normal noise x (B, ...) -> x_0 (B, ...). The last step is a prediction of x_0: it adds no noise.

        Args:
            denoise: predicts x_0 (B, ...) from x_t (B, ...) and steps t (B,).
            x: where to start.
            scheduler: whose steps are visited.
            steps: how many of them.
            generator: draws the noise that is added on the way: one for the batch, or a list with one for each sample
                (`diffusion.noise`).
            on_step: is called as `on_step(number, x0)` after each step, number = 1..steps, with the x_0 predicted
                there: for a progress bar, or to look at.
        """
        visited = self.timesteps(scheduler, steps)
        update = self.update(scheduler, generator, denoise)
        for count, step in enumerate(visited, 1):
            t = torch.full(x.shape[:1], step, device=x.device)
            x0 = denoise(x, t)
            if on_step is not None:
                on_step(count, x0)
            if count < len(visited):
                x = update(x, x0, t, torch.full_like(t, visited[count]))
        return x0

    def with_given_timesteps(self, scheduler: NoiseScheduler, steps: int) -> "Sampler":
        """This sampler with the steps that it visits computed already, as an exported graph needs them."""
        sampler = copy(self)
        sampler.timesteps = GivenTimesteps(self.timesteps(scheduler, steps))
        return sampler

    @abstractmethod
    def update(self, scheduler: NoiseScheduler, generator: Generators, denoise: Denoiser) -> Update:
        """A function from one visited step to the next, made for each call: it may keep what earlier steps gave.

        It is given the x_0 that was predicted at the step it leaves. A method of higher order may evaluate `denoise`
        at other places.
        """


class DDPMSampler(Sampler):
    """Ancestral sampling: Ho et al. 2020, Algorithm 2, by Eq. 6 and 7 from the predicted x_0.

    With fewer than T steps it is the ancestral process of the subsequence.

    Args:
        large_variance: take beta for the variance in place of Eq. 7's (Sec. 3.2).
        timesteps: as `Sampler`'s.
    """

    def __init__(self, large_variance: bool = False, timesteps: Timesteps | None = None):
        super().__init__(timesteps)
        self.large_variance = large_variance

    def update(self, scheduler: NoiseScheduler, generator: Generators, denoise: Denoiser) -> Update:
        def ancestral(x: Tensor, x0: Tensor, t: Tensor, following: Tensor) -> Tensor:
            posterior = scheduler.posterior(x0, x, t, following)
            variance = posterior.beta if self.large_variance else posterior.variance
            return posterior.mean + variance.sqrt() * randn(x.shape, generator, x.device, x.dtype)

        return ancestral


class DDIMSampler(Sampler):
    """Song et al. 2021, "Denoising Diffusion Implicit Models", Eq. 12.

    Args:
        eta: 0 is deterministic, 1 is ancestral.
        timesteps: as `Sampler`'s.
    """

    def __init__(self, eta: float = 0.0, timesteps: Timesteps | None = None):
        super().__init__(timesteps)
        if not 0 <= eta <= 1:
            raise ValueError(f"eta={eta} must lie between 0, deterministic, and 1, ancestral")
        self.eta = eta

    def update(self, scheduler: NoiseScheduler, generator: Generators, denoise: Denoiser) -> Update:
        def implicit(x: Tensor, x0: Tensor, t: Tensor, following: Tensor) -> Tensor:
            noise = scheduler.noise_from_x0(x, x0, t)
            alpha_bar_next = at(scheduler.alpha_bar, following, x)
            if self.eta == 0:  # sigma is 0: for one robot, its arithmetic takes as long as a layer
                return alpha_bar_next.sqrt() * x0 + (1 - alpha_bar_next).sqrt() * noise
            alpha_bar = at(scheduler.alpha_bar, t, x)
            # Eq. 16: sigma of the step from t to the one that follows
            sigma = self.eta * ((1 - alpha_bar_next) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_next)).sqrt()
            x = alpha_bar_next.sqrt() * x0 + (1 - alpha_bar_next - sigma**2).clamp(min=0).sqrt() * noise
            return x + sigma * randn(x.shape, generator, x.device, x.dtype)

        return implicit


class DPMSolver(Sampler):
    """DPM-Solver++(2M): Lu et al. 2022, "DPM-Solver++", Algorithm 2. Deterministic; a generator is not used.

    Second order: the x_0 of two steps are extrapolated along lambda, half the log-SNR.

    Args:
        timesteps: by default evenly spaced in lambda: evenly spaced in t, its last stride is several times as long as
            the one before, and extrapolation overshoots.
    """

    def __init__(self, timesteps: Timesteps | None = None):
        super().__init__(LogSNRTimesteps() if timesteps is None else timesteps)

    def update(self, scheduler: NoiseScheduler, generator: Generators, denoise: Denoiser) -> Update:
        before: list[tuple[Tensor, Tensor]] = []  # lambda and x_0 of the step before

        def extrapolated(x: Tensor, x0: Tensor, t: Tensor, following: Tensor) -> Tensor:
            sigma, sigma_next = (at(scheduler.sqrt_one_minus_alpha_bar, step, x) for step in (t, following))
            here, there = (at(scheduler.half_log_snr, step, x) for step in (t, following))
            data = x0
            if before:
                earlier, earlier_x0 = before.pop()
                data = x0 + (x0 - earlier_x0) * (there - here) / (here - earlier) / 2
            before.append((here, x0))
            decayed = sigma_next / sigma * x
            return decayed - at(scheduler.sqrt_alpha_bar, following, x) * torch.expm1(here - there) * data

        return extrapolated


class EulerSampler(Sampler):
    """Euler's method on the straight path that leads through x_t, of flow matching as of every noise schedule.

    With a = sqrt(alpha_bar) and b = sqrt(1 - alpha_bar), y = x_t / (a + b) = (1 - s) x_0 + s noise at s = b / (a + b),
    and dy/ds = noise - x_0: Liu et al. 2022, "Flow Straight and Fast", Eq. 1. DDIM with eta 0 is the same method.

    Args:
        timesteps: by default evenly spaced down to x_0 itself: of a flow in N steps, the strides in s are all 1 / N.
    """

    def __init__(self, timesteps: Timesteps | None = None):
        super().__init__(TrailingTimesteps() if timesteps is None else timesteps)

    def update(self, scheduler: NoiseScheduler, generator: Generators, denoise: Denoiser) -> Update:
        def euler(x: Tensor, x0: Tensor, t: Tensor, following: Tensor) -> Tensor:
            return _along(scheduler, x, scheduler.noise_from_x0(x, x0, t) - x0, t, following)

        return euler


class HeunSampler(EulerSampler):
    """Heun's method on the same path, second order: Karras et al. 2022 (EDM), Algorithm 1, in the flow's own time.

    Two network evaluations a step, one at the last: N steps cost 2 N - 1. Deterministic; a generator is not used.
    """

    def update(self, scheduler: NoiseScheduler, generator: Generators, denoise: Denoiser) -> Update:
        def heun(x: Tensor, x0: Tensor, t: Tensor, following: Tensor) -> Tensor:
            here = scheduler.noise_from_x0(x, x0, t) - x0
            ahead = _along(scheduler, x, here, t, following)
            ahead_x0 = denoise(ahead, following)
            there = scheduler.noise_from_x0(ahead, ahead_x0, following) - ahead_x0
            return _along(scheduler, x, (here + there) / 2, t, following)

        return heun


def _along(scheduler: NoiseScheduler, x: Tensor, velocity: Tensor, t: Tensor, following: Tensor) -> Tensor:
    """x at another step, by the straight path of this velocity through x_t."""
    signal, sigma = scheduler.signal_and_noise(t, x)
    signal_next, sigma_next = scheduler.signal_and_noise(following, x)
    total, total_next = signal + sigma, signal_next + sigma_next
    return total_next * (x / total + (sigma_next / total_next - sigma / total) * velocity)
