"""Samplers against diffusers, and against data whose exact denoiser is known."""

from itertools import pairwise

import pytest
import torch

from diffusion import samplers
from diffusion.objectives import OBJECTIVES
from diffusion.scheduler import NoiseScheduler, at, squared_cosine_betas

MEAN, STD = 0.8, 0.3


@pytest.fixture
def scheduler():
    return NoiseScheduler(squared_cosine_betas(100))


def exact_denoiser(scheduler):
    """E[x_0 | x_t] where x_0 is normal with MEAN and STD: linear regression of x_0 on x_t."""

    def denoise(x, t):
        alpha_bar = at(scheduler.alpha_bar, t, x)
        gain = alpha_bar.sqrt() * STD**2 / (alpha_bar * STD**2 + 1 - alpha_bar)
        return MEAN + gain * (x - alpha_bar.sqrt() * MEAN)

    return denoise


@pytest.mark.parametrize("sampler", [samplers.ddpm, samplers.ddim])
def test_recovers_a_gaussian(sampler):
    scheduler = NoiseScheduler(squared_cosine_betas(1000))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40_000, 1, generator=generator)
    samples = sampler(exact_denoiser(scheduler), x, scheduler, 1000, generator)
    # The standard error of the mean is 0.0015, of the deviation 0.001; the rest is the error of 1000 steps.
    assert samples.mean().item() == pytest.approx(MEAN, abs=0.006)
    assert samples.std().item() == pytest.approx(STD, abs=0.006)


def test_ancestral_spread_with_few_steps_is_too_small_and_grows_towards_the_truth():
    """Eq. 7's variance is a lower bound, exact for data without spread (Ho et al. 2020, Sec. 3.2)."""
    spreads = []
    for steps in (20, 100, 500):
        scheduler = NoiseScheduler(squared_cosine_betas(steps))
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(40_000, 1, generator=generator)
        spreads.append(samplers.ddpm(exact_denoiser(scheduler), x, scheduler, generator=generator).std().item())
    assert spreads == sorted(spreads)
    assert spreads[-1] < STD + 0.003


def test_ddim_error_falls_with_steps(scheduler):
    x = torch.linspace(-2, 2, 41)[:, None]
    truth = MEAN + STD * x  # the probability flow of a Gaussian maps quantiles to quantiles
    errors = [
        (samplers.ddim(exact_denoiser(scheduler), x, scheduler, steps) - truth).abs().max().item()
        for steps in (5, 10, 20, 50)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.3 * errors[0]


@pytest.mark.parametrize("steps", [1, 7, 16, 100])
def test_ddim_equals_diffusers(scheduler, steps):
    diffusers = pytest.importorskip("diffusers")
    peer = diffusers.DDIMScheduler(
        100,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="linspace",
        set_alpha_to_one=True,
    )
    peer.set_timesteps(steps)
    x = theirs = torch.randn(8, 4, 2, generator=torch.Generator().manual_seed(1))
    denoise = exact_denoiser(scheduler)
    visited = samplers.timesteps(100, steps)
    if steps > 1:  # with one step, linspace of the peer starts at the other end
        assert visited == peer.timesteps.tolist()
        # The peer assumes that steps are evenly spaced; where rounding makes them uneven the two differ by design.
        even = len({a - b for a, b in pairwise(visited)}) == 1
        if not even:
            pytest.skip("unevenly rounded steps")
        for t in peer.timesteps:
            theirs = peer.step(denoise(theirs, t.expand(8)), t, theirs).prev_sample
        torch.testing.assert_close(samplers.ddim(denoise, x, scheduler, steps), theirs, rtol=1e-4, atol=1e-5)


def test_ancestral_step_is_the_posterior(scheduler):
    """One step of `ddpm` from x_1: the last step returns x_0 itself and adds no noise."""
    denoise = exact_denoiser(scheduler)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    once = samplers.ddpm(denoise, x, scheduler, 1, torch.Generator().manual_seed(1))
    again = samplers.ddpm(denoise, x, scheduler, 1, torch.Generator().manual_seed(2))
    torch.testing.assert_close(once, again, rtol=0, atol=0)
    torch.testing.assert_close(once, denoise(x, torch.full((5,), 99)))


def test_ancestral_mean_and_spread_equal_eq_6_and_7(scheduler):
    t = torch.full((200_000,), 60)
    x = torch.full((200_000, 1), 0.5)
    x0 = torch.full_like(x, 0.2)
    calls = []

    def denoise(x_t, step):
        calls.append(x_t)
        return x0

    two_steps = NoiseScheduler(scheduler.betas[:61].double())
    generator = torch.Generator().manual_seed(0)
    samplers.ddpm(denoise, x, two_steps, 61, generator)  # calls[1] is x_59 drawn from x_60 = x
    posterior = scheduler.posterior(x0, x, t)
    assert calls[1].mean().item() == pytest.approx(posterior.mean[0].item(), abs=2e-3)
    assert calls[1].var().item() == pytest.approx(posterior.variance[0].item(), rel=2e-2)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_lead_back_to_x0(scheduler, name):
    x0, noise = torch.randn(2, 90, 4, generator=torch.Generator().manual_seed(0)).unbind(0)
    t = torch.arange(90)
    objective = OBJECTIVES[name]
    x_t = scheduler.add_noise(x0, noise, t)
    recovered = objective.x0(scheduler, x_t, objective.target(scheduler, x0, noise, t), t)
    torch.testing.assert_close(recovered, x0, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("steps", [0, 101])
def test_impossible_numbers_of_steps(steps):
    with pytest.raises(ValueError, match=f"steps={steps} .* 100 training steps"):
        samplers.timesteps(100, steps)


def test_timesteps_cover_both_ends():
    assert samplers.timesteps(100, 100) == list(range(99, -1, -1))
    assert samplers.timesteps(100, 2) == [99, 0]
