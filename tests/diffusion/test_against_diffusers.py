"""Whole trajectories of every sampler, prediction type and thresholding, tensor by tensor against `diffusers`.

The peers compute their tables in float32, where 1 - beta near step 0 keeps three digits of beta. Here they get tables
in float64, and the trajectories run in float64, so that what differs is our own rounding.
"""

import pytest
import torch

from diffusion.noise_schedule import LinearSchedule, SquaredCosineSchedule
from diffusion.prediction_type import Epsilon, Sample, VPrediction
from diffusion.samplers import DDIMSampler, DDPMSampler, DPMSolver
from diffusion.scheduler import NoiseScheduler
from diffusion.thresholding import DynamicThresholding, NoThresholding, StaticThresholding
from diffusion.timesteps import LogSNRTimesteps, UniformTimesteps

diffusers = pytest.importorskip("diffusers")

T = 100
PREDICTION_TYPES = {Epsilon: "epsilon", Sample: "sample", VPrediction: "v_prediction"}
THRESHOLDINGS = {
    NoThresholding: {"clip_sample": False},
    StaticThresholding: {"clip_sample": True},
    # The peer also bounds the divisor from above; 1e9 never does.
    DynamicThresholding: {"clip_sample": False, "thresholding": True, "sample_max_value": 1e9},
}


each_schedule = pytest.mark.parametrize("schedule", [LinearSchedule, SquaredCosineSchedule])
each_thresholding = pytest.mark.parametrize("thresholding", THRESHOLDINGS)
each_prediction_type = pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)


def network(x, t):
    """An output that depends on both inputs and whose x_0 leaves [-1, 1] often."""
    return 0.3 * torch.sin(x + t.reshape(-1, 1, 1, 1) / 7) + 0.9 * x


def noise():
    return torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def exact(peer, schedule):
    """The peer with its tables in float64."""
    peer.betas = schedule()(T)
    peer.alphas = 1 - peer.betas
    peer.alphas_cumprod = peer.alphas.cumprod(0)
    return peer


def ours(scheduler, prediction_type, thresholding, seen):
    def denoise(x, t):
        seen.append(x)
        return thresholding()(prediction_type().x0(scheduler, x, network(x, t), t))

    return denoise


def theirs(peer, **options):
    """The peer's x before every step, and its result."""
    x, seen = noise(), []
    for t in peer.timesteps:
        seen.append(x)
        x = peer.step(network(x, t.expand(4)), t, x, **options).prev_sample
    return [*seen, x]


def compare(seen, result, expected):
    """Values grow to about ten where nothing is thresholded: 1e-5 of the largest."""
    assert len(seen) + 1 == len(expected)
    for step, (one, other) in enumerate(zip([*seen, result], expected, strict=True)):
        largest = max(1.0, other.abs().max().item())
        torch.testing.assert_close(
            one, other, rtol=0, atol=1e-5 * largest, msg=lambda text, step=step: f"{step}: {text}"
        )


@each_schedule
@each_thresholding
@each_prediction_type
@pytest.mark.parametrize("large", [False, True])
def test_ddpm(schedule, prediction_type, thresholding, large):
    scheduler = NoiseScheduler(schedule()(T))
    peer = diffusers.DDPMScheduler(
        T,
        prediction_type=PREDICTION_TYPES[prediction_type],
        variance_type="fixed_large" if large else "fixed_small",
        **THRESHOLDINGS[thresholding],
    )
    expected = theirs(exact(peer, schedule), generator=torch.Generator().manual_seed(2))
    seen, generator = [], torch.Generator().manual_seed(2)
    denoise = ours(scheduler, prediction_type, thresholding, seen)
    result = DDPMSampler(large_variance=large)(denoise, noise(), scheduler, T, generator)
    compare(seen, result, expected)


@each_schedule
@each_thresholding
@each_prediction_type
@pytest.mark.parametrize(("steps", "eta"), [(10, 0.0), (100, 0.0), (10, 0.7), (100, 1.0)])
def test_ddim(schedule, prediction_type, thresholding, steps, eta):
    """In 10 and in 100 steps, where every stride is the same: the peer assumes that."""
    scheduler = NoiseScheduler(schedule()(T))
    peer = diffusers.DDIMScheduler(
        T,
        prediction_type=PREDICTION_TYPES[prediction_type],
        timestep_spacing="linspace",
        **THRESHOLDINGS[thresholding],
    )
    peer.set_timesteps(steps)
    visited = UniformTimesteps()(scheduler, steps)
    assert peer.timesteps.tolist() == visited
    # Without it the peer's noise stays that of the x_0 before thresholding, which no longer fits x_t.
    options = {"use_clipped_model_output": True, "eta": eta, "generator": torch.Generator().manual_seed(2)}
    peer.num_inference_steps = T // max(visited[0] - visited[1], 1)
    expected = theirs(exact(peer, schedule), **options)
    seen = []
    denoise = ours(scheduler, prediction_type, thresholding, seen)
    result = DDIMSampler(eta)(denoise, noise(), scheduler, steps, torch.Generator().manual_seed(2))
    compare(seen, result, expected)


@each_schedule
@pytest.mark.parametrize("thresholding", [NoThresholding, DynamicThresholding])
@each_prediction_type
@pytest.mark.parametrize("steps", [1, 2, 9, 25])
def test_dpm_solver(schedule, prediction_type, thresholding, steps):
    scheduler = NoiseScheduler(schedule()(T))
    peer = diffusers.DPMSolverMultistepScheduler(
        T,
        prediction_type=PREDICTION_TYPES[prediction_type],
        final_sigmas_type="zero",
        **{name: value for name, value in THRESHOLDINGS[thresholding].items() if name != "clip_sample"},
    )
    exact(peer, schedule).set_timesteps(timesteps=LogSNRTimesteps()(scheduler, steps))
    expected = theirs(peer)
    seen = []
    result = DPMSolver()(ours(scheduler, prediction_type, thresholding, seen), noise(), scheduler, steps)
    compare(seen, result, expected)
