"""Flow matching: the straight path, its velocity and its solvers, against closed forms and against `diffusers`."""

import pytest
import torch

from diffusion.loss import squared_errors
from diffusion.noise_schedule import CosineSchedule, FlowMatchingSchedule, SquaredCosineSchedule
from diffusion.prediction_type import Epsilon, FlowPrediction, Sample, VPrediction
from diffusion.samplers import DDIMSampler, DDPMSampler, DPMSolver, EulerSampler, HeunSampler
from diffusion.scheduler import NoiseScheduler
from diffusion.thresholding import DynamicThresholding
from diffusion.timesteps import TrailingTimesteps, UniformTimesteps
from tests.diffusion.exact import GAUSSIAN, THREE, flow, slope

T = 1000


@pytest.fixture(scope="module")
def scheduler():
    return NoiseScheduler(FlowMatchingSchedule()(T))


def time(t, total=T):
    """s of the straight path at steps (B,), as (B, 1)."""
    return (t[:, None].double() + 1) / total


def network(x, t):
    """An output that depends on both inputs."""
    return 0.3 * torch.sin(x + t.reshape(-1, *[1] * (x.ndim - 1)) / 70) + 0.9 * x


@pytest.mark.parametrize("total", [1, 2, 3, 100, T])
def test_the_path_is_straight_at_variance_1(total):
    scheduler, t = NoiseScheduler(FlowMatchingSchedule()(total)), torch.arange(total)
    x0, noise = torch.randn(2, total, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind(0)
    s = time(t, total)
    straight = ((1 - s) * x0 + s * noise) / ((1 - s) ** 2 + s**2).sqrt()
    torch.testing.assert_close(scheduler.add_noise(x0, noise, t), straight, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(scheduler.snr(t).double(), ((1 - s) / s).square()[:, 0], rtol=1e-5, atol=0)
    assert torch.equal(scheduler.add_noise(x0, noise, t)[-1], noise[-1])  # nothing is left of x_0


def test_the_target_is_the_derivative_along_the_path(scheduler):
    """Of y = (1 - s) x_0 + s noise, by autograd; and the loss is the mean squared error of it."""
    x0, noise = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)).unbind(0)
    t = torch.tensor([0, 10, 500, 900, T - 1])
    _, derivative = torch.func.jvp(lambda s: (1 - s) * x0 + s * noise, (time(t).float(),), (torch.ones(5, 1),))
    torch.testing.assert_close(FlowPrediction().target(scheduler, x0, noise, t), derivative)
    errors = squared_errors(network, scheduler, FlowPrediction(), x0, noise, t)
    torch.testing.assert_close(errors, (network(scheduler.add_noise(x0, noise, t), t) - derivative).square())


def test_flow_matching_is_v_prediction_weighted_and_with_a_skip(scheduler):
    """At the same x_t each is an affine function of the other, so that they agree about x_0 at every step."""
    x, v = torch.randn(2, T, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind(0)
    t = torch.arange(T)
    signal, sigma = scheduler.signal_and_noise(t, x)
    velocity = (sigma - signal) * x + (signal + sigma) * v
    x0 = VPrediction().x0(scheduler, x, v, t)
    torch.testing.assert_close(FlowPrediction().x0(scheduler, x, velocity, t), x0, rtol=1e-5, atol=1e-5)
    ratio = VPrediction().x0_error(scheduler.snr(t)) / FlowPrediction().x0_error(scheduler.snr(t))
    torch.testing.assert_close(ratio.double(), (signal + sigma).square()[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("schedule", [FlowMatchingSchedule, CosineSchedule])
@pytest.mark.parametrize(("sampler", "order"), [(EulerSampler, 1), (HeunSampler, 2)])
def test_error_falls_at_the_expected_order(schedule, sampler, order):
    """Against the exact flow of a normal distribution, on a fine schedule so that whole steps do not limit it."""
    scheduler = NoiseScheduler(schedule()(10_240))
    x = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]
    counts = (16, 32, 64)
    errors = [
        (sampler()(GAUSSIAN.denoiser(scheduler), x, scheduler, steps) - flow(x, scheduler)).abs().max().item()
        for steps in counts
    ]
    assert -slope(counts, errors) == pytest.approx(order, abs=0.3), errors
    assert errors[0] < 0.15 / order**2


@pytest.mark.parametrize(
    ("sampler", "steps"),
    [
        (EulerSampler(), 200),
        (HeunSampler(), 25),
        (DDIMSampler(), 200),
        pytest.param(DDIMSampler(eta=0.5), 400, marks=pytest.mark.slow),
        pytest.param(DDPMSampler(large_variance=True), 400, marks=pytest.mark.slow),
        (DPMSolver(), 40),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_sampler_recovers_a_mixture(scheduler, sampler, steps):
    """8,000 samples leave a standard error of 0.006, 0.008 and 0.005."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8000, 2, generator=generator)
    samples = sampler(THREE.denoiser(scheduler), x, scheduler, steps, generator)
    weights = torch.bincount(THREE.nearest(samples)) / len(samples)
    torch.testing.assert_close(weights, THREE.weights, rtol=0, atol=0.015)
    torch.testing.assert_close(samples.mean(0), THREE.mean, rtol=0, atol=0.02)
    torch.testing.assert_close(torch.cov(samples.T), THREE.covariance, rtol=0, atol=0.03)


@pytest.mark.parametrize("sampler", [EulerSampler(), HeunSampler(), DPMSolver(), DDPMSampler()])
def test_one_step_from_noise_alone_gives_the_mean_of_the_data(scheduler, sampler):
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    given = sampler(THREE.denoiser(scheduler), x, scheduler, 1, torch.Generator().manual_seed(0))
    torch.testing.assert_close(given, THREE.mean.expand(5, 2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("schedule", [FlowMatchingSchedule, CosineSchedule])
@pytest.mark.parametrize("thresholding", [lambda x0: x0, DynamicThresholding(0.9)], ids=["", "thresholded"])
def test_euler_on_the_straight_path_is_ddim(schedule, thresholding):
    scheduler = NoiseScheduler(schedule()(T))
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def denoise(x, t):
        return thresholding(FlowPrediction().x0(scheduler, x, network(x, t), t))

    for timesteps in (TrailingTimesteps(), UniformTimesteps()):
        one, other = (kind(timesteps=timesteps)(denoise, x, scheduler, 9) for kind in (EulerSampler, DDIMSampler))
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("sampler", "peer"),
    [(EulerSampler, "FlowMatchEulerDiscreteScheduler"), (HeunSampler, "FlowMatchHeunDiscreteScheduler")],
)
def test_equals_diffusers(scheduler, sampler, peer):
    """Every x of a trajectory. The peer walks y itself: its network is given y / sqrt((1 - s)^2 + s^2), what ours sees,
    and its steps are ours. It computes in float32."""
    diffusers = pytest.importorskip("diffusers")
    theirs = getattr(diffusers, peer)(num_train_timesteps=T)
    theirs.set_timesteps(8)
    steps = [round(float(t)) - 1 for t in theirs.timesteps.unique().flip(0)]
    assert steps == UniformTimesteps()(scheduler, 8)
    # Its steps are evenly spaced without being whole; ours are rounded.
    sigmas = torch.tensor([(step + 1) / T for step in [*steps, -1]])
    if sampler is HeunSampler:
        sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
    theirs.sigmas, theirs.timesteps = sigmas, sigmas[:-1] * T
    y, expected = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), []
    start = y.clone()
    for t in theirs.timesteps:
        s = t / T
        size = ((1 - s) ** 2 + s**2).sqrt()
        expected.append(y / size)
        y = theirs.step(network(y / size, torch.full((4,), round(float(t)) - 1)), t, y).prev_sample
    seen = []

    def denoise(x, t):
        seen.append(x)
        return FlowPrediction().x0(scheduler, x, network(x, t), t)

    result = sampler(timesteps=UniformTimesteps())(denoise, start, scheduler, 8)
    torch.testing.assert_close(torch.stack(seen), torch.stack(expected), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(result, y, rtol=1e-4, atol=1e-4)


def test_noise_predictions_say_nothing_where_there_is_noise_alone(scheduler):
    with pytest.raises(ValueError, match="Epsilon says nothing about x_0"):
        Epsilon().check(scheduler)
    Epsilon().check(NoiseScheduler(SquaredCosineSchedule()(T)))
    for prediction_type in (Sample(), VPrediction(), FlowPrediction()):
        prediction_type.check(scheduler)
