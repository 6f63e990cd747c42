import pytest
import torch

from diffusion.noise_schedule import SquaredCosineSchedule
from diffusion.prediction_type import Epsilon, FlowPrediction, Sample, VPrediction
from diffusion.scheduler import NoiseScheduler


@pytest.mark.parametrize("prediction_type", [Epsilon(), Sample(), VPrediction(), FlowPrediction()])
def test_targets_lead_back_to_x0(prediction_type):
    scheduler, t = NoiseScheduler(SquaredCosineSchedule()(100)), torch.arange(90)
    x0, noise = torch.randn(2, 90, 4, generator=torch.Generator().manual_seed(0)).unbind(0)
    x_t = scheduler.add_noise(x0, noise, t)
    recovered = prediction_type.x0(scheduler, x_t, prediction_type.target(scheduler, x0, noise, t), t)
    torch.testing.assert_close(recovered, x0, rtol=1e-3, atol=1e-3)
