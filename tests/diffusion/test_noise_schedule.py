import math

import pytest
import torch

from diffusion.noise_schedule import CosineSchedule, LinearSchedule, SquaredCosineSchedule


def test_squared_cosine_follows_its_formula():
    steps = 50
    alpha_bar = torch.cumprod(1 - SquaredCosineSchedule(max_beta=1 - 1e-12)(steps), 0)

    def f(t):
        return math.cos((t / steps + 0.008) / 1.008 * math.pi / 2) ** 2

    expected = torch.tensor([f(t + 1) / f(0) for t in range(steps - 1)], dtype=torch.float64)
    torch.testing.assert_close(alpha_bar[:-1], expected)


def test_the_linear_schedule_is_nearly_the_same_for_every_number_of_steps():
    """log alpha_bar is a sum over steps: with betas in proportion to 1 / T, about one integral for all T."""
    ends = [float(torch.log1p(-LinearSchedule()(total)).sum()) for total in (200, 1000, 5000, 100_000)]
    assert ends == pytest.approx([-10.05] * 4, rel=0.04)


def test_one_step_is_possible_where_it_ends_in_noise():
    for betas in (SquaredCosineSchedule()(1), CosineSchedule()(1)):
        assert betas.tolist() == [pytest.approx(0.999)]
    with pytest.raises(ValueError, match=r"LinearSchedule with num_train_timesteps=1 leaves 0\.9 of x_0's variance"):
        LinearSchedule()(1)


@pytest.mark.parametrize("schedule", [LinearSchedule(), CosineSchedule(), SquaredCosineSchedule()])
@pytest.mark.parametrize("steps", [0, -1, 2**31, 2**62, 2.5])
def test_impossible_numbers_of_steps(schedule, steps):
    with pytest.raises(ValueError, match=f"num_train_timesteps={steps} must be a whole number"):
        schedule(steps)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LinearSchedule(start=1e-5, end=1e-4)(1000), "leaves 0.95 of x_0's variance"),
        (lambda: SquaredCosineSchedule(max_beta=0.1)(10), "leaves 0.39 of x_0's variance"),
        (lambda: LinearSchedule(start=0), "start=0"),
        (lambda: LinearSchedule(start=0.02, end=0.01), "end=0.01"),
        (lambda: SquaredCosineSchedule(max_beta=1), "max_beta=1"),
        (lambda: SquaredCosineSchedule(offset=-1), "offset=-1"),
        (lambda: SquaredCosineSchedule(offset=math.inf), "offset=inf"),
    ],
)
def test_schedules_that_do_not_end_in_noise_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
