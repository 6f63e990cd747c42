"""Whole trajectories of every sampler, prediction type and thresholding, tensor by tensor against `diffusers`.

The peers compute their tables in float32, where 1 - beta near step 0 keeps three digits of beta. Here they get tables
in float64, and the trajectories run in float64, so that what differs is our own rounding.
"""

import pytest
import torch

from diffusion import samplers, thresholding
from diffusion.objectives import OBJECTIVES
from diffusion.scheduler import NoiseScheduler, linear_betas, squared_cosine_betas

diffusers = pytest.importorskip("diffusers")

T = 100
SCHEDULES = {"linear": linear_betas, "squared-cosine": squared_cosine_betas}
PREDICTIONS = {"noise": "epsilon", "x0": "sample", "v": "v_prediction"}
THRESHOLDS = {
    "none": {"clip_sample": False},
    "static": {"clip_sample": True},
    # The peer also bounds the divisor from above; 1e9 never does.
    "dynamic": {"clip_sample": False, "thresholding": True, "sample_max_value": 1e9},
}


each_schedule = pytest.mark.parametrize("schedule", SCHEDULES)
each_threshold = pytest.mark.parametrize("threshold", THRESHOLDS)
each_prediction = pytest.mark.parametrize("prediction", PREDICTIONS)


def network(x, t):
    """An output that depends on both inputs and whose x_0 leaves [-1, 1] often."""
    return 0.3 * torch.sin(x + t.reshape(-1, 1, 1, 1) / 7) + 0.9 * x


def noise():
    return torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def exact(peer, schedule):
    """The peer with its tables in float64."""
    peer.betas = SCHEDULES[schedule](T)
    peer.alphas = 1 - peer.betas
    peer.alphas_cumprod = peer.alphas.cumprod(0)
    return peer


def ours(scheduler, prediction, threshold, seen):
    def denoise(x, t):
        seen.append(x)
        return thresholding.THRESHOLDS[threshold](OBJECTIVES[prediction].x0(scheduler, x, network(x, t), t))

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
@each_threshold
@each_prediction
@pytest.mark.parametrize("large", [False, True])
def test_ddpm(schedule, prediction, threshold, large):
    scheduler = NoiseScheduler(SCHEDULES[schedule](T))
    peer = diffusers.DDPMScheduler(
        T,
        prediction_type=PREDICTIONS[prediction],
        variance_type="fixed_large" if large else "fixed_small",
        **THRESHOLDS[threshold],
    )
    expected = theirs(exact(peer, schedule), generator=torch.Generator().manual_seed(2))
    seen, generator = [], torch.Generator().manual_seed(2)
    denoise = ours(scheduler, prediction, threshold, seen)
    result = samplers.ddpm(denoise, noise(), scheduler, T, generator, large_variance=large)
    compare(seen, result, expected)


@each_schedule
@each_threshold
@each_prediction
@pytest.mark.parametrize(("steps", "eta"), [(10, 0.0), (100, 0.0), (10, 0.7), (100, 1.0)])
def test_ddim(schedule, prediction, threshold, steps, eta):
    """In 10 and in 100 steps, where every stride is the same: the peer assumes that."""
    scheduler = NoiseScheduler(SCHEDULES[schedule](T))
    peer = diffusers.DDIMScheduler(
        T,
        prediction_type=PREDICTIONS[prediction],
        timestep_spacing="linspace",
        **THRESHOLDS[threshold],
    )
    peer.set_timesteps(steps)
    visited = samplers.timesteps(T, steps)
    assert peer.timesteps.tolist() == visited
    # Without it the peer's noise stays that of the x_0 before thresholding, which no longer fits x_t.
    options = {"use_clipped_model_output": True, "eta": eta, "generator": torch.Generator().manual_seed(2)}
    peer.num_inference_steps = T // max(visited[0] - visited[1], 1)
    expected = theirs(exact(peer, schedule), **options)
    seen = []
    denoise = ours(scheduler, prediction, threshold, seen)
    result = samplers.ddim(denoise, noise(), scheduler, steps, torch.Generator().manual_seed(2), eta=eta)
    compare(seen, result, expected)


@each_schedule
@pytest.mark.parametrize("threshold", ["none", "dynamic"])
@each_prediction
@pytest.mark.parametrize("steps", [1, 2, 9, 25])
def test_dpm_solver(schedule, prediction, threshold, steps):
    scheduler = NoiseScheduler(SCHEDULES[schedule](T))
    peer = diffusers.DPMSolverMultistepScheduler(
        T,
        prediction_type=PREDICTIONS[prediction],
        final_sigmas_type="zero",
        **{name: value for name, value in THRESHOLDS[threshold].items() if name != "clip_sample"},
    )
    exact(peer, schedule).set_timesteps(timesteps=samplers.even_log_snr_timesteps(scheduler, steps))
    expected = theirs(peer)
    seen = []
    result = samplers.dpm_solver(ours(scheduler, prediction, threshold, seen), noise(), scheduler, steps)
    compare(seen, result, expected)
