"""Stage 5: diffusion."""

import math
from typing import Any

import torch

from diffusion import guidance, noise_schedule, thresholding
from diffusion.noise_schedule import LinearSchedule
from diffusion.samplers import DDIMSampler, DDPMSampler, Sampler
from diffusion.scheduler import NoiseScheduler
from exercises.exercise import Stage
from exercises.grading import same

STAGE = Stage("DDPM: images from noise")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal numbers, the same in every run."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def alpha_bars(betas: torch.Tensor) -> list[float]:
    """alpha_bar of every step; the last entry, at index -1, is the 1 before step 0."""
    found, left = [], 1.0
    for beta in betas.tolist():
        left *= 1 - beta
        found.append(left)
    return [*found, 1.0]


def unused(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """For a sampler that predicts x_0 once a step, a denoiser between the steps."""
    raise AssertionError


BETAS = LinearSchedule()(40)


@STAGE.exercise(noise_schedule.SquaredCosineSchedule.__call__, level=2)
def cosine_schedule(answer: Any) -> None:
    """The cosine schedule of noise.

    alpha_bar at time u in [0, 1] is f(u) / f(0), f(u) = cos^2((u + s) / (1 + s) pi / 2), s = `self.offset`. Step t goes
    from u = t / T to (t + 1) / T, and its beta is 1 - alpha_bar(after) / alpha_bar(before), at most `self.max_beta`.
    Return the betas (T,) in float64.
    """
    betas = answer.SquaredCosineSchedule()(10)

    def f(t: int) -> float:
        return math.cos((t / 10 + 0.008) / 1.008 * math.pi / 2) ** 2

    same("betas of 10 steps", betas, torch.tensor([min(0.999, 1 - f(t + 1) / f(t)) for t in range(10)]))


@STAGE.exercise(NoiseScheduler.add_noise, level=1)
def add_noise(answer: Any) -> None:
    """The forward process: q(x_t | x_0).

    x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise. Each sample has its own t: `at(table, t, x0)` looks it up
    in a table, such as `self.sqrt_alpha_bar`, and shapes it to meet x0.
    """
    x0, noise, t = normal(3, 2, 2), normal(3, 2, 2, seed=1), [0, 20, 39]
    expected = torch.stack(
        [math.sqrt(a) * x0[i] + math.sqrt(1 - a) * noise[i] for i, a in enumerate(alpha_bars(BETAS)[s] for s in t)]
    )
    same("x_t at steps 0, 20, 39", answer.NoiseScheduler(BETAS).add_noise(x0, noise, torch.tensor(t)), expected)


@STAGE.exercise(NoiseScheduler.x0_from_noise, level=1)
def x0_from_noise(answer: Any) -> None:
    """From predicted noise to x_0.

    Solve x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) noise for x_0.
    """
    scheduler, t = NoiseScheduler(BETAS), torch.tensor([0, 20, 30])
    x0, noise = normal(3, 2, 2), normal(3, 2, 2, seed=1)
    x_t = scheduler.add_noise(x0, noise, t)
    same("x_0 from x_t and the noise in it", answer.NoiseScheduler(BETAS).x0_from_noise(x_t, noise, t), x0)


@STAGE.exercise(NoiseScheduler.x0_from_velocity, level=2)
def x0_from_velocity(answer: Any) -> None:
    """From a predicted velocity to x_0.

    v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x_0, and x_t as before: two equations, of which x_0 and the noise
    are a rotation by an angle. Find x_0 from x_t and v, without a division.
    """
    scheduler, t = NoiseScheduler(BETAS), torch.tensor([0, 20, 39])
    x0, noise = normal(3, 2, 2), normal(3, 2, 2, seed=1)
    x_t, velocity = scheduler.add_noise(x0, noise, t), scheduler.velocity(x0, noise, t)
    same("x_0 from x_t and v", answer.NoiseScheduler(BETAS).x0_from_velocity(x_t, velocity, t), x0)


@STAGE.exercise(NoiseScheduler.posterior, level=3)
def posterior(answer: Any) -> None:
    """A step back: q(x_{t-1} | x_t, x_0).

    mean = (sqrt(ab') beta x_0 + sqrt(1 - beta) (1 - ab') x_t) / (1 - ab),  variance = beta (1 - ab') / (1 - ab),
    where ab is alpha_bar at t, ab' at `previous`, and beta = 1 - ab / ab'. By default previous is t - 1; index -1 of
    `self.log_alpha_bar` is the step before step 0, where alpha_bar is 1. Return Posterior(mean, variance, beta).
    """
    scheduler, bars = answer.NoiseScheduler(BETAS), alpha_bars(BETAS)
    x0, x_t = normal(3, 2), normal(3, 2, seed=1)
    for steps, before in (([0, 20, 39], [-1, 19, 38]), ([9, 20, 39], [-1, 10, 0])):
        given = scheduler.posterior(x0, x_t, torch.tensor(steps), None if steps[0] == 0 else torch.tensor(before))
        parts: dict[str, list[torch.Tensor]] = {"mean": [], "variance": [], "beta": []}
        for i, (t, previous) in enumerate(zip(steps, before, strict=True)):
            # product of two Gaussians: of x_{t-1} given x_0, and of x_t given x_{t-1}
            beta = 1 - bars[t] / bars[previous]
            if previous == -1:
                mean, variance = x0[i], 0.0
            else:
                precision = 1 / (1 - bars[previous]) + (1 - beta) / beta
                variance = 1 / precision
                mean = variance * (
                    math.sqrt(bars[previous]) * x0[i] / (1 - bars[previous]) + math.sqrt(1 - beta) * x_t[i] / beta
                )
            for part, value in zip(parts, (mean, variance, beta), strict=True):
                parts[part].append(torch.as_tensor(value, dtype=torch.float64))
        for part, values in parts.items():
            got = getattr(given, part, None)
            shape = (3, 2) if part == "mean" else (3, 1)
            same(f"{part} of the steps {steps} to {before}", got, torch.stack(values).reshape(shape))


@STAGE.exercise(guidance.guided, level=2)
def classifier_free_guidance(answer: Any) -> None:
    """Classifier-free guidance.

    Return a function of (x, t) that gives  s model(x, t, labels) + (1 - s) model(x, t, null), where s is the guidance
    scale and null, for every sample, the label that means no class. Evaluate both in one batch of twice the size.
    Where t lies outside of `guidance_interval` (first and last step), give the conditional prediction.
    """

    def model(x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return x * (1 + labels[:, None]) + t[:, None]

    x, t, labels = normal(3, 2), torch.tensor([5, 5, 5]), torch.tensor([0, 1, 2])
    conditional, unconditional = model(x, t, labels), model(x, t, torch.tensor([3, 3, 3]))
    for scale in (0.0, 1.0, 4.0):
        expected = scale * conditional + (1 - scale) * unconditional
        same(f"prediction with guidance_scale={scale:g}", answer.guided(model, labels, 3, scale)(x, t), expected)
    outside = answer.guided(model, labels, 3, 4.0, (6, 9))(x, t)
    same("prediction outside of the guidance interval", outside, conditional)
    inside = answer.guided(model, labels, 3, 4.0, (5, 9))(x, t)
    same("prediction at the first step of the interval", inside, 4 * conditional - 3 * unconditional)


@STAGE.exercise(thresholding.DynamicThresholding.__call__, level=2)
def dynamic_thresholding(answer: Any) -> None:
    """Dynamic thresholding.

    For each sample, s is the percentile `self.percentile` (a share) of its own |x_0|, but at least 1. Clip the sample
    to [-s, s] and divide by s. A sample within [-1, 1] stays as it is.
    """
    x0 = torch.tensor([[0.5, -0.25, 0.1, 0.0, 0.9], [0.0, -1.0, 2.0, 3.0, -9.0]])[:, :, None]
    expected = torch.tensor([[0.5, -0.25, 0.1, 0, 0.9], [0, -1 / 3, 2 / 3, 1, -1]])[:, :, None]
    same("two samples at the percentile 0.75", answer.DynamicThresholding(0.75)(x0), expected)
    same("at the percentile 1", answer.DynamicThresholding(1.0)(x0)[1], x0[1] / 9)


@STAGE.exercise(Sampler.__call__, level=2)
def sampling_loop(answer: Any) -> None:
    """The loop of a sampler.

    `self.timesteps(scheduler, steps)` gives the steps to visit, from the noisiest down; `self.update(scheduler,
    generator, denoise)` a function (x, x0, t, following) -> x at the step that follows; t is (B,). At each step predict
    x_0 by `denoise(x, t)`, call `on_step(number, x0)` if there is one, and update x. The last prediction is the result.
    """
    scheduler, seen, told = NoiseScheduler(BETAS), [], []

    def denoise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append(t.tolist())
        return x / 2 + t[:, None]

    def record(number: int, x0: torch.Tensor) -> None:
        told.append(number)

    x = normal(2, 3)
    result = answer.DDIMSampler()(denoise, x, scheduler, 4, on_step=record)
    same("steps that were visited", seen, [[39, 39], [26, 26], [13, 13], [0, 0]])
    same("numbers that on_step was told", told, [1, 2, 3, 4])
    same("x_0 after 4 steps", result, DDIMSampler()(denoise, x, scheduler, 4))


@STAGE.exercise(DDPMSampler.update, level=2)
def ddpm_step(answer: Any) -> None:
    """One step of ancestral sampling.

    Return a function (x, x0, t, following) -> x at the step that follows: a draw from the posterior
    `scheduler.posterior(x0, x, t, following)`, with its variance, or with `self.large_variance` its beta. Noise is
    `randn(shape, generator, device, dtype)`.
    """
    scheduler = NoiseScheduler(BETAS)
    x, x0 = torch.full((1, 50_000), 0.3), torch.full((1, 50_000), -0.5)
    t, following = torch.tensor([20]), torch.tensor([19])
    right = scheduler.posterior(x0, x, t, following)
    for large, variance in ((False, right.variance), (True, right.beta)):
        drawn = answer.DDPMSampler(large).update(scheduler, torch.Generator().manual_seed(0), unused)(
            x, x0, t, following
        )
        same("shape", list(getattr(drawn, "shape", ())), [1, 50_000])
        draws = ((drawn - right.mean) / variance.sqrt()).double()
        said = f"of 50,000 draws, standardised, with large_variance={large}"
        same(f"mean {said}, to one digit", draws.mean().mul(10).round() + 0, 0.0)
        same(f"standard deviation {said}, to one digit", draws.std().mul(10).round() / 10, 1.0)


@STAGE.exercise(DDIMSampler.update, level=3)
def ddim_step(answer: Any) -> None:
    """One step of DDIM.

    With ab = alpha_bar at t, ab' at the step that follows, and the noise that x and x_0 imply
    (`scheduler.noise_from_x0`):
        sigma = eta sqrt((1 - ab') / (1 - ab) (1 - ab / ab'))
        x' = sqrt(ab') x_0 + sqrt(1 - ab' - sigma^2) noise + sigma z,  z standard normal
    Return a function (x, x0, t, following) -> x'. With eta = 0 it draws nothing; with eta = 1 it is DDPM's step.
    """
    scheduler, bars = NoiseScheduler(BETAS), alpha_bars(BETAS)
    x, x0, t, following = normal(2, 3), normal(2, 3, seed=1), torch.tensor([20, 39]), torch.tensor([10, 0])
    expected = []
    for i, (here, there) in enumerate(zip(t.tolist(), following.tolist(), strict=True)):
        noise = (x[i] - math.sqrt(bars[here]) * x0[i]) / math.sqrt(1 - bars[here])
        expected.append(math.sqrt(bars[there]) * x0[i] + math.sqrt(1 - bars[there]) * noise)
    given = answer.DDIMSampler().update(scheduler, None, unused)(x, x0, t, following)
    same("x at the steps 10 and 0, from 20 and 39, with eta=0", given, torch.stack(expected))
    ancestral, implicit = (
        sampler.update(scheduler, torch.Generator().manual_seed(0), unused)(x, x0, t, following)
        for sampler in (DDPMSampler(), answer.DDIMSampler(eta=1.0))
    )
    same("x with eta=1, as DDPM's with the same noise", implicit, ancestral)
