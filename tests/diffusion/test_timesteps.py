import pytest
import torch

from diffusion.noise_schedule import CosineSchedule, FlowMatchingSchedule, LinearSchedule, SquaredCosineSchedule
from diffusion.scheduler import NoiseScheduler
from diffusion.timesteps import (
    GivenTimesteps,
    LogSNRTimesteps,
    TrailingTimesteps,
    UniformTimesteps,
    check_sampling_steps,
)


def test_uniform_timesteps_cover_both_ends():
    scheduler = NoiseScheduler(SquaredCosineSchedule()(100))
    assert UniformTimesteps()(scheduler, 100) == list(range(99, -1, -1))
    assert UniformTimesteps()(scheduler, 2) == [99, 0]


@pytest.mark.parametrize(("total", "steps"), [(100, 1), (100, 2), (100, 4), (100, 100), (1000, 20), (1, 1)])
def test_trailing_timesteps_equal_diffusers(total, steps):
    diffusers = pytest.importorskip("diffusers")
    peer = diffusers.DDIMScheduler(total, timestep_spacing="trailing")
    peer.set_timesteps(steps)
    visited = TrailingTimesteps()(NoiseScheduler(FlowMatchingSchedule()(total)), steps)
    assert visited == peer.timesteps.tolist()


@pytest.mark.parametrize("total", [7, 100])
def test_trailing_timesteps_descend_for_every_number(total):
    scheduler = NoiseScheduler(SquaredCosineSchedule()(total))
    for steps in range(1, total + 1):
        visited = TrailingTimesteps()(scheduler, steps)
        assert len(visited) == steps
        assert total - 1 == visited[0] >= visited[-1] >= 0
        assert visited == sorted(set(visited), reverse=True)


@pytest.mark.parametrize("total", [2, 3, 1000])
@pytest.mark.parametrize("lowest", [-float("inf"), -5.0])
def test_log_snr_timesteps_where_the_last_step_is_noise_alone(total, lowest):
    """Whose log-SNR is not finite."""
    scheduler = NoiseScheduler(FlowMatchingSchedule()(total))
    for steps in {1, 2, total}:
        visited = LogSNRTimesteps(lowest)(scheduler, steps)
        assert len(visited) == steps
        assert visited == sorted(set(visited), reverse=True)
        assert 0 <= visited[-1] <= visited[0] < total


@pytest.mark.parametrize("schedule", [LinearSchedule, CosineSchedule, SquaredCosineSchedule])
@pytest.mark.parametrize("steps", [1, 2, 20, 997, 1000])
def test_log_snr_timesteps_descend_to_0_one_by_one(schedule, steps):
    visited = LogSNRTimesteps()(NoiseScheduler(schedule()(1000)), steps)
    assert len(visited) == steps
    assert visited[-1] == (0 if steps > 1 else 999)  # one step: the noisiest
    assert visited[0] < 1000
    assert visited == sorted(set(visited), reverse=True)


def test_log_snr_timesteps_are_even_where_steps_are_fine():
    scheduler = NoiseScheduler(SquaredCosineSchedule()(100_000))
    visited = LogSNRTimesteps()(scheduler, 12)
    strides = scheduler.half_log_snr[visited].diff()
    torch.testing.assert_close(strides, strides.mean().expand(11), rtol=0.05, atol=0)


@pytest.mark.parametrize("steps", [0, -1, 101, 2**40, 1.5])
def test_impossible_numbers_of_steps(steps):
    scheduler = NoiseScheduler(SquaredCosineSchedule()(100))
    for timesteps in (UniformTimesteps(), LogSNRTimesteps()):
        with pytest.raises(ValueError, match=f"steps={steps} .* 100 training steps"):
            timesteps(scheduler, steps)
    with pytest.raises(ValueError, match=f"sampling_steps={steps} .* num_train_timesteps=100"):
        check_sampling_steps(steps, 100)


def test_given_timesteps_are_visited_as_they_are():
    scheduler = NoiseScheduler(SquaredCosineSchedule()(100))
    for timesteps in (UniformTimesteps(), LogSNRTimesteps()):
        visited = timesteps(scheduler, 7)
        assert GivenTimesteps(visited)(scheduler, 7) == visited


@pytest.mark.parametrize("timesteps", [[], [3, 3], [1, 2], [-1], [2.5]])
def test_given_timesteps_descend(timesteps):
    with pytest.raises(ValueError, match="timesteps="):
        GivenTimesteps(timesteps)


def test_given_timesteps_are_for_their_own_scheduler():
    for total, steps in ((100, 3), (9, 2)):
        words = rf"timesteps=\[9, 0\] are 2 steps below 10; asked for are {steps} .*{total}"
        with pytest.raises(ValueError, match=words):
            GivenTimesteps([9, 0])(NoiseScheduler(SquaredCosineSchedule()(total)), steps)
