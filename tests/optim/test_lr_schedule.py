import itertools
import math
from datetime import timedelta
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import Timer
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, PolynomialLR, SequentialLR

from optim.lr_schedule import ENDLESS, Constant, LRSchedule, WarmupCosine, WarmupLinear
from optim.training_length import total_steps

SCHEDULES = [WarmupCosine, WarmupLinear, Constant]


class Clock(Timer):
    """A timer that is told how many seconds were used."""

    def __init__(self, duration, used=0.0):
        super().__init__(timedelta(seconds=duration))
        self.used = used

    def time_elapsed(self, stage="train"):
        return self.used


def trainer(*callbacks):
    strategy = SimpleNamespace(broadcast=lambda value: value)
    return SimpleNamespace(callbacks=callbacks, strategy=strategy, max_epochs=-1, num_training_batches=math.inf)


def rates_of(scheduler, steps, lr=1.0):
    """Learning rates of a scheduler of torch's, made of an optimizer."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    peer, rates = scheduler(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        peer.step()
    return rates


def test_the_learning_rate_rises_and_falls():
    schedule = WarmupCosine(0.2)
    rates = [schedule(step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 21)
    assert rates[20] == 1
    assert rates[60] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert all(a < b for a, b in itertools.pairwise(rates[:21]))
    assert all(a > b for a, b in itertools.pairwise(rates[20:]))
    assert WarmupCosine(0.0)(0, 100) == 1


def test_the_cosine_is_torchs():
    ours = [WarmupCosine(0.0, final=0.1)(step, 10) for step in range(11)]
    assert ours == pytest.approx(rates_of(lambda optimizer: CosineAnnealingLR(optimizer, 10, eta_min=0.1), 11))


def test_the_straight_line_is_torchs():
    ours = [WarmupLinear(0.0)(step, 10) for step in range(11)]
    assert ours == pytest.approx(rates_of(lambda optimizer: PolynomialLR(optimizer, total_iters=10, power=1.0), 11))
    ours = [WarmupLinear(0.0, final=0.3)(step, 10) for step in range(11)]
    assert ours == pytest.approx(rates_of(lambda optimizer: LinearLR(optimizer, 1.0, 0.3, total_iters=10), 11))


@pytest.mark.parametrize("warmup", [4, 0.2])
@pytest.mark.parametrize(
    ("schedule", "fall"),
    [
        (WarmupCosine, lambda optimizer: CosineAnnealingLR(optimizer, 16, eta_min=0.25)),
        (WarmupLinear, lambda optimizer: LinearLR(optimizer, 1.0, 0.25, total_iters=16)),
    ],
)
def test_warmup_and_fall_are_torchs_one_after_the_other(schedule, fall, warmup):
    """4 of 20 steps; torch's LinearLR begins at 1 / 5, as the step after none at all."""

    def peer(optimizer):
        return SequentialLR(optimizer, [LinearLR(optimizer, 1 / 5, total_iters=4), fall(optimizer)], [4])

    ours = [schedule(warmup, final=0.25)(step, 20) for step in range(21)]
    assert ours == pytest.approx(rates_of(peer, 21))


def test_a_constant_rate_after_warmup_is_torchs_linear_rise():
    ours = [Constant(4)(step, 20) for step in range(21)]
    assert ours == pytest.approx(rates_of(lambda optimizer: LinearLR(optimizer, 1 / 5, total_iters=4), 21))
    assert [Constant()(step, total) for step in range(3) for total in (0, 3, math.inf)] == [1] * 9


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [(WarmupCosine, "get_cosine_schedule_with_warmup"), (WarmupLinear, "get_linear_schedule_with_warmup")],
)
def test_the_schedules_are_those_of_transformers(schedule, theirs):
    """Which begin at 0: their first step moves nothing, and the rise to the top takes one more."""
    transformers = pytest.importorskip("transformers")
    theirs = getattr(transformers, theirs)
    ours = [schedule(4)(step, 20) for step in range(21)]
    risen = rates_of(lambda optimizer: theirs(optimizer, num_warmup_steps=4, num_training_steps=20), 21)
    assert ours[4:] == pytest.approx(risen[4:])
    rising = rates_of(lambda optimizer: theirs(optimizer, num_warmup_steps=5, num_training_steps=21), 6)
    assert ours[:5] == pytest.approx(rising[1:])


def test_without_an_end_the_rate_rises_and_stays():
    for schedule in SCHEDULES:
        rates = [schedule(0.01)(step, math.inf) for step in (0, ENDLESS // 200, ENDLESS // 100, 10**9)]
        assert rates == pytest.approx([1 / 101, 51 / 101, 1, 1])
        assert schedule(100)(50, math.inf) == pytest.approx(51 / 101)
        assert schedule(0.0)(0, math.inf) == 1


@pytest.mark.parametrize("total", [0, 0.5, 1])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.999, 1, 1000])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_trainings_of_hardly_a_step(schedule, total, warmup):
    assert all(0 <= schedule(warmup)(step, total) <= 1 for step in range(3))


def test_a_warmup_longer_than_the_training_is_all_of_it():
    rates = [WarmupCosine(1000)(step, 10) for step in range(10)]
    assert rates == pytest.approx([(step + 1) / 11 for step in range(10)])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_numbers_that_are_none_are_refused(schedule):
    with pytest.raises(ValueError, match=r"warmup=-0\.1 must be a number in \[0, inf\)"):
        schedule(warmup=-0.1)
    if schedule is not Constant:
        with pytest.raises(ValueError, match=r"final=nan must be a number in \[0, inf\)"):
            schedule(final=math.nan)


def test_a_schedule_of_ones_own_is_a_function_of_step_and_total():
    class Halves(LRSchedule):
        def __call__(self, step, total):
            return 0.5 ** (10 * step // total)

    assert [Halves()(step, 10) for step in range(3)] == [1, 0.5, 0.25]
    with pytest.raises(TypeError, match="abstract"):
        LRSchedule()


def test_a_training_ends_when_its_time_is_used_up_or_its_steps_are_made():
    """60 steps in 6 of 10 seconds: 100 in all, unless fewer are planned."""
    assert total_steps(trainer(Clock(10, used=6)), 60, math.inf) == pytest.approx(100)
    assert total_steps(trainer(Clock(10, used=6)), 60, 80) == 80
    assert total_steps(trainer(Clock(10, used=6)), 60, 120) == pytest.approx(100)
    assert total_steps(trainer(Clock(10)), 0, math.inf) == math.inf
    assert total_steps(trainer(), 60, -1) == math.inf  # of a loader without a length
    assert total_steps(trainer(Timer()), 60, 70) == 70


def test_before_the_first_step_its_speed_is_unknown():
    assert total_steps(trainer(Clock(10, used=1e-3)), 0, math.inf) == math.inf
    assert total_steps(trainer(Clock(10, used=1e-3)), 0, 80) == 80
