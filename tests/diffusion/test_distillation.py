"""A student of exact teachers: what it should learn is known in closed form."""

import pytest
import torch

from diffusion.distillation import Distillation, teacher_pairs
from diffusion.loss import squared_errors
from diffusion.noise_schedule import CosineSchedule, FlowMatchingSchedule, SquaredCosineSchedule
from diffusion.prediction_type import FlowPrediction, VPrediction
from diffusion.samplers import DDIMSampler, DDPMSampler, DPMSolver
from diffusion.scheduler import NoiseScheduler
from diffusion.timesteps import GivenTimesteps, TrailingTimesteps, UniformTimesteps
from tests.diffusion.exact import GAUSSIAN, THREE, flow

T = 240
each_schedule = pytest.mark.parametrize("schedule", [CosineSchedule, SquaredCosineSchedule, FlowMatchingSchedule])
each_number = pytest.mark.parametrize("steps", [1, 2, 3])


def noise(count, size, dtype=torch.float64):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(0), dtype=dtype)


@each_schedule
@each_number
def test_steps_with_the_targets_end_where_the_teacher_ends(schedule, steps):
    """And come by where it came by: 24 steps of the teacher in all, of any denoiser."""
    scheduler, x = NoiseScheduler(schedule()(T)), noise(6, 2)
    visited, teacher = TrailingTimesteps()(scheduler, steps), THREE.denoiser(scheduler)
    x0, _, t = teacher_pairs(teacher, x, scheduler, visited, 24 // steps)
    targets = dict(zip(visited, x0.split(6), strict=True))
    assert t.tolist() == [step for step in visited for _ in range(6)]
    walked = DDIMSampler(timesteps=TrailingTimesteps())
    student = walked(lambda x, t: targets[int(t[0])], x, scheduler, steps)
    torch.testing.assert_close(student, walked(teacher, x, scheduler, 24), rtol=1e-4, atol=1e-5)


@each_schedule
@each_number
@pytest.mark.parametrize("prediction_type", [VPrediction(), FlowPrediction()])
def test_the_pairs_lie_where_the_teacher_was(schedule, steps, prediction_type):
    """So the loss of a model that predicts the targets is 0, and it is asked where it will be when it samples."""
    scheduler, x = NoiseScheduler(schedule()(T)), noise(6, 2)
    visited = TrailingTimesteps()(scheduler, steps)
    x0, implied, t = teacher_pairs(THREE.denoiser(scheduler), x, scheduler, visited, 8)
    torch.testing.assert_close(scheduler.add_noise(x0, implied, t)[:6], x, rtol=1e-5, atol=1e-5)

    def right(x_t, t):
        return prediction_type.target(scheduler, x0, implied, t)

    assert squared_errors(right, scheduler, prediction_type, x0, implied, t).max() < 1e-9


def test_one_step_learns_the_flow_of_a_normal_distribution():
    """The best affine map from noise, by least squares: slope 0.3 and offset 0.8 of the data, in closed form."""
    scheduler, x = NoiseScheduler(FlowMatchingSchedule()(T)), noise(200, 1)
    errors = []
    for substeps in (15, 60, 240):
        pairs = teacher_pairs(GAUSSIAN.denoiser(scheduler), x, scheduler, [T - 1], substeps)
        weight, offset = torch.linalg.lstsq(torch.cat([x, torch.ones_like(x)], 1), pairs.x0).solution[:, 0]
        errors.append(abs(float(weight) - 0.3) + abs(float(offset) - 0.8))
        torch.testing.assert_close(weight * x + offset, pairs.x0, rtol=1e-4, atol=1e-4)  # it is affine
    assert errors[0] > 2 * errors[1] > 4 * errors[2]  # DDIM's error, of first order
    assert errors[2] < 0.02
    torch.testing.assert_close(pairs.x0, flow(x, scheduler), rtol=0, atol=0.03)


def test_one_step_of_an_exact_teacher_s_student_draws_the_mixture():
    """Which without a teacher's steps is the mean of the data alone."""
    scheduler, x = NoiseScheduler(FlowMatchingSchedule()(T)), noise(8000, 2, torch.float32)
    samples = teacher_pairs(THREE.denoiser(scheduler), x, scheduler, [T - 1], 120).x0
    weights = torch.bincount(THREE.nearest(samples)) / len(samples)
    torch.testing.assert_close(weights, THREE.weights, rtol=0, atol=0.015)
    torch.testing.assert_close(samples.mean(0), THREE.mean, rtol=0, atol=0.02)
    torch.testing.assert_close(torch.cov(samples.T), THREE.covariance, rtol=0, atol=0.02)
    alone = DDIMSampler()(THREE.denoiser(scheduler), x, scheduler, 1)
    torch.testing.assert_close(alone, THREE.mean.expand_as(alone), rtol=0, atol=1e-4)


def test_substeps_that_do_not_fit():
    scheduler = NoiseScheduler(SquaredCosineSchedule()(100))
    teacher, x = THREE.denoiser(scheduler), noise(2, 2)
    for visited in ([99], [99, 49], [99, 9], GivenTimesteps([89, 79])(scheduler, 2)):
        teacher_pairs(teacher, x, scheduler, visited, 10)
    with pytest.raises(ValueError, match="substeps=10 finds 1 steps from 0 to -1; take fewer"):
        teacher_pairs(teacher, x, scheduler, UniformTimesteps()(scheduler, 2), 10)


@pytest.mark.parametrize("substeps", [0, -1, 1.5, 2_000_000])
def test_impossible_substeps(substeps):
    with pytest.raises(ValueError, match="substeps"):
        Distillation("pusht", substeps)


@pytest.mark.parametrize(
    ("sampler", "said"), [(DPMSolver(), "DPMSolver"), (DDPMSampler(), "DDPM"), (DDIMSampler(0.5), "eta 0.5")]
)
def test_samplers_whose_steps_are_others(sampler, said):
    with pytest.raises(ValueError, match=f"DDIMSampler with eta 0.*{said}"):
        Distillation("pusht").check(sampler)
    Distillation("pusht").check(DDIMSampler())
