import pytest
import torch

from diffusion.loss import min_snr_weight, squared_errors
from diffusion.noise_schedule import LinearSchedule, SquaredCosineSchedule
from diffusion.prediction_type import Epsilon, FlowPrediction, Sample, VPrediction
from diffusion.scheduler import NoiseScheduler

each_prediction_type = pytest.mark.parametrize(
    "prediction_type", [Epsilon(), Sample(), VPrediction(), FlowPrediction()]
)


@pytest.fixture
def scheduler():
    return NoiseScheduler(SquaredCosineSchedule()(200))


@each_prediction_type
def test_errors_are_those_of_algorithm_1(scheduler, prediction_type):
    x0, noise = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0)).unbind(0)
    t = torch.tensor([0, 3, 50, 120, 198, 199])
    alpha_bar = torch.cumprod(1 - SquaredCosineSchedule()(200), 0)[t].float()[:, None]
    x_t = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise
    velocity = alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * x0
    targets = {Epsilon: noise, Sample: x0, VPrediction: velocity, FlowPrediction: noise - x0}
    target = targets[type(prediction_type)]

    def model(x, t):
        return torch.cos(x) + t[:, None] / 200

    expected = (torch.cos(x_t) + t[:, None] / 200 - target).square()
    errors = squared_errors(model, scheduler, prediction_type, x0, noise, t)
    torch.testing.assert_close(errors, expected, rtol=1e-4, atol=1e-5)


@each_prediction_type
def test_min_snr_weighs_errors_of_x0_by_the_clipped_snr(scheduler, prediction_type):
    """Whatever is predicted: an error of the output, carried over to x_0, costs min(SNR, 5) times its square."""
    generator = torch.Generator().manual_seed(0)
    t = torch.arange(5, 180)
    x_t, output, other = torch.randn(3, len(t), 1, generator=generator, dtype=torch.float64).unbind(0)
    x0, other_x0 = (prediction_type.x0(scheduler, x_t, predicted, t) for predicted in (output, other))
    x0_error = (x0 - other_x0).square()[:, 0]
    alpha_bar = torch.cumprod(1 - SquaredCosineSchedule()(200), 0)[t]
    snr = alpha_bar / (1 - alpha_bar)
    expected = snr.clamp(max=5) * x0_error
    weighted = min_snr_weight(scheduler, prediction_type, t) * (output - other).square()[:, 0]
    torch.testing.assert_close(weighted, expected, rtol=1e-3, atol=1e-9)


def test_min_snr_weights_of_the_paper(scheduler):
    """Its Sec. 3.4: min(SNR, g) for x_0, min(SNR, g) / SNR for noise, min(SNR, g) / (SNR + 1) for v."""
    t = torch.arange(200)
    snr = scheduler.snr(t)
    clipped = snr.clamp(max=3)
    for prediction_type, expected in [
        (Sample(), clipped),
        (Epsilon(), clipped / snr),
        (VPrediction(), clipped / (snr + 1)),
    ]:
        torch.testing.assert_close(min_snr_weight(scheduler, prediction_type, t, gamma=3.0), expected)


def test_min_snr_equals_diffusers():
    pytest.importorskip("diffusers")
    from diffusers import DDPMScheduler
    from diffusers.training_utils import compute_snr

    scheduler, t = NoiseScheduler(LinearSchedule()(300)), torch.arange(300)
    peer = DDPMScheduler(300, beta_start=1e-4 / 0.3, beta_end=2e-2 / 0.3)
    torch.testing.assert_close(scheduler.snr(t), compute_snr(peer, t), rtol=2e-3, atol=0)  # the peer rounds to float32


@pytest.mark.parametrize("gamma", [0, -1, float("inf"), float("nan")])
def test_impossible_gamma(gamma):
    with pytest.raises(ValueError, match=f"gamma={gamma} must be"):
        min_snr_weight(NoiseScheduler(SquaredCosineSchedule()(10)), VPrediction(), torch.arange(10), gamma)
