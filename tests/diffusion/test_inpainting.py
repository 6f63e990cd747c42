"""Inpainting against normal data, whose conditional distribution and exact denoiser are closed forms."""

import pytest
import torch

from diffusion.inpainting import RePaint, noised_again
from diffusion.noise_schedule import SquaredCosineSchedule
from diffusion.samplers import DDIMSampler, DDPMSampler, DPMSolver, EulerSampler, HeunSampler
from diffusion.scheduler import NoiseScheduler

MEAN = torch.tensor([0.2, -0.1])
COVARIANCE = torch.tensor([[0.25, 0.2], [0.2, 0.25]])
FIRST = 0.7  # what is known of a sample: its first number
CONDITIONAL_MEAN = -0.1 + 0.2 / 0.25 * (FIRST - 0.2)  # of the second: 0.3
CONDITIONAL_STD = (0.25 - 0.2**2 / 0.25) ** 0.5  # 0.3
KNOWN = torch.tensor([True, False])
ONE_EVALUATION = [DDPMSampler(), DDIMSampler(), DPMSolver(), EulerSampler()]  # a step
SAMPLERS = [*ONE_EVALUATION, HeunSampler()]


def each(samplers):
    return pytest.mark.parametrize("sampler", samplers, ids=lambda one: type(one).__name__)


@pytest.fixture
def scheduler():
    return NoiseScheduler(SquaredCosineSchedule()(200))


def denoiser(scheduler):
    """E[x_0 | x_t] of the normal data."""

    def denoise(x, t):
        alpha_bar = scheduler.alpha_bar[t[0]]
        gain = alpha_bar.sqrt() * COVARIANCE @ torch.linalg.inv(alpha_bar * COVARIANCE + (1 - alpha_bar) * torch.eye(2))
        return MEAN + (x - alpha_bar.sqrt() * MEAN) @ gain

    return denoise


def drawn(sampler, scheduler, steps, known=KNOWN, count=4000, denoise=None, **options):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 2, generator=generator)
    sampler = RePaint(sampler, torch.tensor([FIRST, 99.0]), known, **options)
    return x, sampler(denoise or denoiser(scheduler), x, scheduler, steps, generator)


@each(SAMPLERS)
def test_what_is_known_stays(scheduler, sampler):
    _, samples = drawn(sampler, scheduler, 10, count=5)
    assert (samples[:, 0] == FIRST).all()
    assert samples[:, 1].std() > 0


@each(SAMPLERS)
def test_where_nothing_is_known_it_is_the_sampler_itself(scheduler, sampler):
    nothing = torch.tensor([False, False])
    x, samples = drawn(sampler, scheduler, 10, nothing, count=5)
    generator = torch.Generator().manual_seed(0)
    torch.randn(5, 2, generator=generator)
    assert (samples == sampler(denoiser(scheduler), x, scheduler, 10, generator)).all()


@each(ONE_EVALUATION)
def test_the_known_part_of_x_t_is_as_in_the_forward_process(scheduler, sampler):
    """Mean and deviation of q(x_t | x_0), Ho et al. 2020, Eq. 4, at every step."""
    seen = []

    def denoise(x, t):
        seen.append((x[:, 0], t[0]))
        return denoiser(scheduler)(x, t)

    drawn(sampler, scheduler, 6, denoise=denoise)
    assert len(seen) == 6
    for first, t in seen:
        std = scheduler.sqrt_one_minus_alpha_bar[t].item()
        mean = scheduler.sqrt_alpha_bar[t].item() * FIRST
        assert first.mean().item() == pytest.approx(mean, abs=4 * std / 4000**0.5)
        assert first.std().item() == pytest.approx(std, rel=4 / 8000**0.5)


def test_resampling_brings_the_rest_to_its_conditional_distribution(scheduler):
    """4,000 samples leave a standard error of 0.005. Once is not enough: the rest is drawn too near its own mean."""
    _, once = drawn(DDPMSampler(), scheduler, 200)
    _, often = drawn(DDPMSampler(), scheduler, 200, resampling=10)
    assert often[:, 1].mean().item() == pytest.approx(CONDITIONAL_MEAN, abs=0.03)
    assert often[:, 1].std().item() == pytest.approx(CONDITIONAL_STD, abs=0.03)
    assert once[:, 1].mean().item() < CONDITIONAL_MEAN - 0.1
    assert once[:, 1].std().item() > CONDITIONAL_STD + 0.05


def test_noise_put_back_is_that_of_the_forward_process(scheduler):
    """From q(x_s | x_0) to q(x_t | x_0)."""
    x0, generator = torch.full((50_000, 1), 0.8), torch.Generator().manual_seed(0)
    earlier, later = torch.full((50_000,), 20), torch.full((50_000,), 90)
    x = scheduler.add_noise(x0, torch.randn(x0.shape, generator=generator), earlier)
    x = noised_again(x, scheduler, earlier, later, generator)
    assert x.mean().item() == pytest.approx(0.8 * scheduler.sqrt_alpha_bar[90].item(), abs=0.015)
    assert x.std().item() == pytest.approx(scheduler.sqrt_one_minus_alpha_bar[90].item(), abs=0.01)


def test_each_step_is_taken_so_often_but_the_last(scheduler):
    calls, shown = [], []

    def denoise(x, t):
        calls.append(int(t[0]))
        return x

    sampler = RePaint(DPMSolver(), torch.zeros(2), KNOWN, resampling=3)
    sampler(denoise, torch.zeros(1, 2), scheduler, 4, None, lambda number, x0: shown.append(number))
    assert len(calls) == 3 * 3 + 1
    assert calls == sorted(calls, reverse=True)
    assert shown == [1, 2, 3, 4]


@pytest.mark.parametrize("resampling", [0, -1, 1.5, True, 10**6])
def test_a_wrong_count_is_refused(resampling):
    with pytest.raises(ValueError, match="resampling"):
        RePaint(DDIMSampler(), torch.zeros(2), KNOWN, resampling)
