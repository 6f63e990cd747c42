"""Samplers against data whose exact denoiser is known, and against slow-but-obvious steps."""

import pytest
import torch

from diffusion.noise import generators, randn
from diffusion.noise_schedule import CosineSchedule, LinearSchedule, SquaredCosineSchedule
from diffusion.samplers import DDIMSampler, DDPMSampler, DPMSolver, EulerSampler, HeunSampler
from diffusion.scheduler import NoiseScheduler, at
from diffusion.timesteps import LogSNRTimesteps, Timesteps, UniformTimesteps
from tests.diffusion.exact import GAUSSIAN, THREE, flow, slope

# Sampler, steps, and what Mixture THREE may be off by: (weights, mean, covariance). 8,000 samples leave a standard
# error of 0.006, 0.008 and 0.005; the rest is the error of the steps.
RUNS = {
    "ddpm": (DDPMSampler(), 400, (0.015, 0.02, 0.02)),
    "ddpm, large variance": (DDPMSampler(large_variance=True), 400, (0.015, 0.02, 0.03)),
    "ddim": (DDIMSampler(), 100, (0.015, 0.02, 0.02)),
    "ddim, eta 1": (DDIMSampler(eta=1.0), 400, (0.015, 0.02, 0.02)),
    "dpm-solver": (DPMSolver(), 25, (0.015, 0.02, 0.02)),
}
SAMPLERS = [DDPMSampler(), DDIMSampler(), DPMSolver(), EulerSampler(), HeunSampler()]
each_sampler = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)


@pytest.fixture
def scheduler():
    return NoiseScheduler(SquaredCosineSchedule()(100))


@pytest.mark.parametrize("name", RUNS)
def test_recovers_a_mixture(name):
    sampler, steps, (weight_error, mean_error, covariance_error) = RUNS[name]
    scheduler = NoiseScheduler(SquaredCosineSchedule()(1000))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8000, 2, generator=generator)
    samples = sampler(THREE.denoiser(scheduler), x, scheduler, steps, generator)
    weights = torch.bincount(THREE.nearest(samples)) / len(samples)
    torch.testing.assert_close(weights, THREE.weights, rtol=0, atol=weight_error)
    torch.testing.assert_close(samples.mean(0), THREE.mean, rtol=0, atol=mean_error)
    torch.testing.assert_close(torch.cov(samples.T), THREE.covariance, rtol=0, atol=covariance_error)


@each_sampler
@pytest.mark.parametrize("schedule", [LinearSchedule, CosineSchedule, SquaredCosineSchedule])
def test_recovers_a_gaussian_with_every_schedule(sampler, schedule):
    scheduler = NoiseScheduler(schedule()(1000))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 1, generator=generator)
    steps = {DDPMSampler: 1000, DPMSolver: 50, HeunSampler: 50}.get(type(sampler), 250)
    samples = sampler(GAUSSIAN.denoiser(scheduler), x, scheduler, steps, generator)
    # The standard error of the mean is 0.002, of the deviation 0.0015.
    assert samples.mean().item() == pytest.approx(0.8, abs=0.008)
    assert samples.std().item() == pytest.approx(0.3, abs=0.008)


@pytest.mark.parametrize(("sampler", "order"), [(DDIMSampler(), 1), (DPMSolver(), 2)], ids=["ddim", "dpm_solver"])
def test_error_falls_at_the_expected_order(sampler, order):
    """Against the exact flow of a normal distribution, on a fine schedule so that whole steps do not limit it."""
    scheduler = NoiseScheduler(SquaredCosineSchedule()(10_000))
    x = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]
    counts, errors = (20, 40, 80), []
    for steps in counts:
        starts = []

        def denoise(x, t, starts=starts):
            starts.append(int(t[0]))
            return GAUSSIAN.denoiser(scheduler)(x, t)

        samples = sampler(denoise, x, scheduler, steps)
        errors.append((samples - flow(x, scheduler, starts[0])).abs().max().item())
    assert -slope(counts, errors) == pytest.approx(order, abs=0.25), errors
    assert errors[0] < 0.1 / order**2


def test_ancestral_spread_grows_towards_the_truth_from_below_or_falls_from_above():
    """Eq. 7's variance is a lower bound, beta an upper bound (Ho et al. 2020, Sec. 3.2)."""
    lower, upper = [], []
    for steps in (20, 100, 500):
        scheduler = NoiseScheduler(SquaredCosineSchedule()(steps))
        for spreads, large in ((lower, False), (upper, True)):
            generator = torch.Generator().manual_seed(0)
            x = torch.randn(20_000, 1, generator=generator)
            denoise = GAUSSIAN.denoiser(scheduler)
            samples = DDPMSampler(large_variance=large)(denoise, x, scheduler, steps, generator)
            spreads.append(samples.std().item())
    assert lower == sorted(lower)
    assert lower[-1] < 0.3 + 0.003
    assert upper == sorted(upper, reverse=True)
    assert upper[-1] > 0.3 - 0.003


def test_the_large_variance_is_exact_for_normal_data(scheduler):
    """Ho et al. 2020, Sec. 3.2: for standard normal x_0, E[x_0 | x_t] = sqrt(alpha_bar) x_t, in any number of steps."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100_000, 1, generator=generator)
    for steps in (2, 5, 20):
        samples = DDPMSampler(large_variance=True)(
            lambda x, t: at(scheduler.sqrt_alpha_bar, t, x) * x, x, scheduler, steps, generator
        )
        assert samples.std().item() == pytest.approx(1, abs=0.01)  # standard error 0.002


@each_sampler
def test_one_step_is_the_prediction_itself(scheduler, sampler):
    """The last step returns x_0 and adds no noise, whatever the generator says."""
    denoise = THREE.denoiser(scheduler)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    once, again = (sampler(denoise, x, scheduler, 1, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert torch.equal(once, again)
    assert torch.equal(once, denoise(x, torch.full((5,), 99)))


@pytest.mark.parametrize("total", [2, 3, 10, 50, 1000])
@each_sampler
@pytest.mark.parametrize("schedule", [LinearSchedule, CosineSchedule, SquaredCosineSchedule])
def test_every_number_of_steps_leads_to_the_data(schedule, sampler, total):
    """Of normal data, whose denoiser is affine, the mean is right however few steps there are, and the spread is never
    above the truth by more than the solver's error: it grows from 0, where one step predicts the mean, to 0.3."""
    scheduler = NoiseScheduler(schedule()(total))
    x = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    x = (x - x.mean()) / x.std()
    counts = sorted({count for count in (1, 2, 3, 4, 5, 7, 10, 20, total - 1, total) if 1 <= count <= min(total, 50)})
    for steps in counts:
        samples = sampler(GAUSSIAN.denoiser(scheduler), x, scheduler, steps, torch.Generator().manual_seed(1))
        assert samples.mean().item() == pytest.approx(0.8, abs=0.01 if total > 3 else 0.03), steps
        few = isinstance(sampler, HeunSampler) and total <= 3  # a correction over so long a stride overshoots
        assert samples.std().item() < (0.45 if few else 0.33), steps
        if steps >= 10:
            assert samples.std().item() > 0.15, steps
    assert UniformTimesteps()(scheduler, total) == list(range(total - 1, -1, -1))


@each_sampler
def test_samples_with_generators_of_their_own_do_not_depend_on_the_batch(scheduler, sampler):
    x = randn((6, 2), generators(0, range(6)), dtype=torch.float64)

    def drawn(numbers):
        # one generator each, which has already given the sample its first noise
        own = generators(0, numbers)
        start = randn((len(numbers), 2), own, dtype=torch.float64)
        assert torch.equal(start, x[numbers])
        return sampler(THREE.denoiser(scheduler), start, scheduler, 9, own)

    whole = drawn([0, 1, 2, 3, 4, 5])
    for numbers in ([0, 1, 2, 3], [4, 5], [5, 1], [3]):
        torch.testing.assert_close(drawn(numbers), whole[numbers], rtol=1e-9, atol=1e-9)


@each_sampler
def test_every_step_is_reported_and_the_last_one_is_the_result(scheduler, sampler):
    seen = []
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    result = sampler(THREE.denoiser(scheduler), x, scheduler, 7, on_step=lambda number, x0: seen.append((number, x0)))
    assert [number for number, _ in seen] == [1, 2, 3, 4, 5, 6, 7]
    assert torch.equal(seen[-1][1], result)


def test_ancestral_mean_and_spread_equal_eq_6_and_7(scheduler):
    t = torch.full((200_000,), 60)
    x = torch.full((200_000, 1), 0.5)
    x0 = torch.full_like(x, 0.2)
    calls = []

    def denoise(x_t, step):
        calls.append(x_t)
        return x0

    first_steps = NoiseScheduler(scheduler.betas[:61].double())
    generator = torch.Generator().manual_seed(0)
    DDPMSampler()(denoise, x, first_steps, 61, generator)  # calls[1] is x_59 drawn from x_60 = x
    posterior = scheduler.posterior(x0, x, t)
    assert calls[1].mean().item() == pytest.approx(posterior.mean[0].item(), abs=2e-3)
    assert calls[1].var().item() == pytest.approx(posterior.variance[0].item(), rel=2e-2)


def test_ancestral_sampling_is_ddim_with_eta_1(scheduler):
    """Song et al. 2021, Sec. 4.1: the same process, written in two ways; also on a subsequence."""
    denoise = THREE.denoiser(scheduler)
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for steps in (7, 100):
        one = DDPMSampler()(denoise, x, scheduler, steps, torch.Generator().manual_seed(1))
        other = DDIMSampler(eta=1.0)(denoise, x, scheduler, steps, torch.Generator().manual_seed(1))
        torch.testing.assert_close(one, other, rtol=0, atol=2e-5)


@pytest.mark.parametrize("steps", [0, -1, 101, 2**40, 1.5])
@each_sampler
def test_impossible_numbers_of_steps(scheduler, sampler, steps):
    with pytest.raises(ValueError, match=f"steps={steps} .* 100 training steps"):
        sampler(THREE.denoiser(scheduler), torch.zeros(1, 2), scheduler, steps)


@pytest.mark.parametrize("eta", [-0.1, 1.1, 2, float("nan")])
def test_impossible_eta(eta):
    with pytest.raises(ValueError, match=f"eta={eta} must lie between 0"):
        DDIMSampler(eta)


@pytest.mark.parametrize("sampler", [DDPMSampler, DDIMSampler, DPMSolver])
def test_the_discretisation_of_time_is_an_argument(scheduler, sampler):
    """Every sampler with every choice of steps, ours or one's own, and what each visits by default."""

    class Every(Timesteps):
        """As a user writes one: every tenth step."""

        def spaced(self, scheduler, steps):
            return list(range(10 * (steps - 1), -1, -10))

    def visited(made):
        seen = []
        denoise = THREE.denoiser(scheduler)
        made(lambda x, t: seen.append(int(t[0])) or denoise(x, t), torch.ones(1, 2), scheduler, 5)
        return seen

    for timesteps in (UniformTimesteps(), LogSNRTimesteps(), LogSNRTimesteps(-2.0)):
        assert visited(sampler(timesteps=timesteps)) == timesteps(scheduler, 5)
    assert visited(sampler(timesteps=Every())) == [40, 30, 20, 10, 0]
    default = LogSNRTimesteps() if sampler is DPMSolver else UniformTimesteps()
    assert visited(sampler()) == default(scheduler, 5)
