import math

import pytest
import torch

from diffusion.noise_schedule import CosineSchedule, LinearSchedule, SquaredCosineSchedule
from diffusion.scheduler import NoiseScheduler

each_schedule = pytest.mark.parametrize("schedule", [LinearSchedule(), CosineSchedule(), SquaredCosineSchedule()])


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 100, 3, 5, generator=generator).unbind(0)
    return x0, noise, torch.arange(100)


@pytest.mark.parametrize("total", [100, 1000, 4000])
@pytest.mark.parametrize(
    ("schedule", "kind"), [(LinearSchedule(), "linear"), (SquaredCosineSchedule(), "squaredcos_cap_v2")]
)
def test_equals_diffusers(schedule, kind, total, batch):
    """Whose linear one is given betas for its number of steps, 1e-4 to 0.02 being those for 1,000."""
    diffusers = pytest.importorskip("diffusers")
    ours = NoiseScheduler(schedule(total))
    start, end = 1e-4 * 1000 / total, 2e-2 * 1000 / total
    peer = diffusers.DDPMScheduler(total, beta_start=start, beta_end=end, beta_schedule=kind)
    x0, noise, _ = batch
    t = torch.linspace(0, total - 1, 100).long()
    torch.testing.assert_close(ours.betas, peer.betas, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.add_noise(x0, noise, t), peer.add_noise(x0, noise, t), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.velocity(x0, noise, t), peer.get_velocity(x0, noise, t), rtol=1e-5, atol=1e-5)


def test_conversions_invert_the_forward_process(batch):
    x0, noise, t = batch
    scheduler = NoiseScheduler(LinearSchedule()(100))
    x_t = scheduler.add_noise(x0, noise, t)
    close = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(scheduler.x0_from_noise(x_t, noise, t), x0, **close)
    torch.testing.assert_close(scheduler.noise_from_x0(x_t, x0, t), noise, **close)
    torch.testing.assert_close(scheduler.x0_from_velocity(x_t, scheduler.velocity(x0, noise, t), t), x0, **close)


def test_posterior_is_bayes_rule_for_gaussians():
    """q(x_{t-1} | x_t, x_0) from the product of q(x_t | x_{t-1}) and q(x_{t-1} | x_0), in float64."""
    betas = SquaredCosineSchedule()(20)
    scheduler = NoiseScheduler(betas)
    alpha_bar = torch.cumprod(1 - betas, 0)
    x0, x_t = torch.tensor([[0.7]]), torch.tensor([[-0.4]])
    for step in range(1, 20):
        prior_mean, prior_variance = alpha_bar[step - 1].sqrt() * 0.7, 1 - alpha_bar[step - 1]
        gain = prior_variance * (1 - betas[step]).sqrt() / ((1 - betas[step]) * prior_variance + betas[step])
        mean = prior_mean + gain * (-0.4 - (1 - betas[step]).sqrt() * prior_mean)
        variance = prior_variance * (1 - gain * (1 - betas[step]).sqrt())
        posterior = scheduler.posterior(x0, x_t, torch.tensor([step]))
        assert posterior.mean.item() == pytest.approx(mean.item(), rel=1e-4, abs=1e-5)
        assert posterior.variance.item() == pytest.approx(variance.item(), rel=1e-4, abs=1e-6)


@each_schedule
@pytest.mark.parametrize("steps", [10, 1000])
def test_posterior_of_a_subsequence_is_bayes_rule(schedule, steps):
    """q(x_s | x_t, x_0) from q(x_t | x_s) and q(x_s | x_0): every t against several s below it, in float64."""
    betas = schedule(steps)
    scheduler = NoiseScheduler(betas)
    alpha_bar = torch.cumprod(1 - betas, 0)
    t = torch.arange(1, steps)
    x0, x_t = torch.randn(2, steps - 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind(0)
    for s in (t - 1, t // 2, torch.zeros_like(t)):
        between = alpha_bar[t] / alpha_bar[s]
        precision = between / (1 - between) + 1 / (1 - alpha_bar[s])
        information = between.sqrt() / (1 - between) * x_t[:, 0] + alpha_bar[s].sqrt() / (1 - alpha_bar[s]) * x0[:, 0]
        posterior = scheduler.posterior(x0, x_t, t, s)
        torch.testing.assert_close(posterior.mean[:, 0], information / precision, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(posterior.variance[:, 0], 1 / precision, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(posterior.beta[:, 0], 1 - between, rtol=1e-4, atol=1e-7)


@each_schedule
@pytest.mark.parametrize("steps", [2, 3, 10, 20, 50, 100, 1000, 10_000])
def test_both_ends(schedule, steps):
    betas = schedule(steps)
    scheduler = NoiseScheduler(betas)
    x0 = torch.tensor([[2.0]])
    first = scheduler.posterior(x0, torch.tensor([[9.0]]), torch.tensor([0]))
    assert first.mean.item() == 2.0  # before step 0 there is no noise: alpha_bar is 1
    assert first.variance.item() == 0
    assert first.beta.item() == pytest.approx(betas[0].item(), rel=1e-6)
    assert scheduler.alpha_bar[0].item() == pytest.approx(1 - betas[0].item(), rel=1e-6)
    last = scheduler.add_noise(x0, torch.zeros(1, 1), torch.tensor([steps - 1])).item()
    assert 0 < last < (0.015 if steps > 3 else 0.1)  # of x_0 = 2 hardly anything is left
    to_the_start = scheduler.posterior(x0, torch.tensor([[9.0]]), torch.tensor([steps - 1]), torch.tensor([-1]))
    assert to_the_start.mean.item() == 2.0
    assert to_the_start.variance.item() == 0


@each_schedule
def test_tables_keep_their_digits_at_both_ends(schedule):
    """float32 tables against float64, relative to their size: also where alpha_bar is almost 1 or almost 0."""
    betas = schedule(1000)
    scheduler, t = NoiseScheduler(betas), torch.arange(1000)
    alpha_bar = torch.cumprod(1 - betas, 0)
    torch.testing.assert_close(scheduler.snr(t).double(), alpha_bar / (1 - alpha_bar), rtol=1e-5, atol=0)
    torch.testing.assert_close(scheduler.sqrt_one_minus_alpha_bar.double(), (1 - alpha_bar).sqrt(), rtol=1e-6, atol=0)
    torch.testing.assert_close(scheduler.half_log_snr.double(), (alpha_bar / (1 - alpha_bar)).log() / 2)
    assert scheduler.log_alpha_bar[-1] == 0  # before step 0


def test_cosine_is_the_angle_of_a_quarter_turn():
    """sqrt(alpha_bar) = cos, sqrt(1 - alpha_bar) = sin of an angle that grows evenly: Salimans & Ho 2022."""
    scheduler = NoiseScheduler(CosineSchedule(max_beta=1 - 1e-9)(100))
    angle = torch.arange(1, 100) / 100 * math.pi / 2
    torch.testing.assert_close(scheduler.sqrt_alpha_bar[:-1], angle.cos())
    torch.testing.assert_close(scheduler.sqrt_one_minus_alpha_bar[:-1], angle.sin())


@pytest.mark.parametrize("betas", [[0.1, 1.0, 0.1], [0.0, 0.5], [0.5, 1.1], [], [[0.1]], [float("nan")]])
def test_betas_are_checked(betas):
    with pytest.raises(ValueError, match="between 0 and 1"):
        NoiseScheduler(torch.tensor(betas))


def test_the_last_step_may_be_noise_alone():
    scheduler = NoiseScheduler(torch.tensor([0.1, 0.5, 1.0]))
    x0, noise = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)).unbind(0)
    t = torch.full((4,), 2)
    assert torch.equal(scheduler.add_noise(x0, noise, t), noise)
    assert scheduler.snr(t).tolist() == [0.0] * 4
    back = scheduler.posterior(x0, noise, t)  # q(x_1 | x_2, x_0) is q(x_1 | x_0): x_2 knows nothing of x_1
    alpha_bar = 0.9 * 0.5
    torch.testing.assert_close(back.mean, alpha_bar**0.5 * x0)
    torch.testing.assert_close(back.variance, torch.full_like(back.variance, 1 - alpha_bar))
