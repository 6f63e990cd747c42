import itertools
import math
from datetime import timedelta
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback, LearningRateFinder, Timer
from torch import nn
from torch.utils.data import DataLoader

from optim.lr_schedule import ENDLESS, OwnRates, decay_matrices, total_steps, warmup_cosine, with_warmup_cosine


class Clock(Timer):
    """A timer that is told how many seconds were used."""

    def __init__(self, duration, used=0.0):
        super().__init__(timedelta(seconds=duration))
        self.used = used

    def time_elapsed(self, stage="train"):
        return self.used


def trainer(planned, *callbacks):
    strategy = SimpleNamespace(broadcast=lambda value: value)
    return SimpleNamespace(estimated_stepping_batches=planned, callbacks=callbacks, strategy=strategy)


class Line(OwnRates):
    """One number that a fixed gradient pulls."""

    def __init__(self, lr=0.1, warmup=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.weight = nn.Parameter(torch.tensor(5.0))
        self.rates = []

    def training_step(self, batch, batch_idx):
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return (self.weight - 1).square()

    def configure_optimizers(self):
        return with_warmup_cosine(
            torch.optim.SGD(self.parameters(), self.hparams.lr), self.trainer, self.hparams.warmup
        )


def fitted(module, ckpt_path=None, callbacks=(), **options):
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    runner = L.Trainer(accelerator="cpu", callbacks=list(callbacks), **quiet | options)
    runner.fit(module, DataLoader(range(10)), ckpt_path=ckpt_path, weights_only=True)
    return runner


def test_the_learning_rate_rises_and_falls():
    rates = [warmup_cosine(step, 100, 0.2) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 21)
    assert rates[20] == 1
    assert rates[60] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert all(a < b for a, b in itertools.pairwise(rates[:21]))
    assert all(a > b for a, b in itertools.pairwise(rates[20:]))
    assert warmup_cosine(0, 100, 0.0) == 1


def test_the_learning_rate_can_fall_in_a_straight_line():
    """As `torch.optim.lr_scheduler.PolynomialLR` of power 1 does."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    peer = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=10, power=1.0)
    for step in range(11):
        assert warmup_cosine(step, 10, 0.0, "linear") == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        peer.step()


def test_only_matrices_and_kernels_decay():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    optimizer = torch.optim.SGD(decay_matrices(network, 0.5), lr=1.0)
    before = [p.clone() for p in network.parameters()]
    for p in network.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.equal(new, old / 2 if new.ndim >= 2 else old)


def test_the_optimizer_follows_the_cycle():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = with_warmup_cosine(optimizer, trainer(10), 0.3)["lr_scheduler"]["scheduler"]
    for step in range(10):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(2 * warmup_cosine(step, 10, 0.3))
        optimizer.step()
        schedule.step()


def test_without_an_end_the_rate_rises_and_stays():
    rates = [warmup_cosine(step, math.inf, 0.01) for step in (0, ENDLESS // 200, ENDLESS // 100, 10**9)]
    assert rates == pytest.approx([1 / 101, 51 / 101, 1, 1])
    assert warmup_cosine(0, math.inf, 0.0) == 1


@pytest.mark.parametrize("total", [0, 0.5, 1])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.999])
def test_trainings_of_hardly_a_step(total, warmup):
    assert all(0 <= warmup_cosine(step, total, warmup) <= 1 for step in range(3))


def test_a_training_ends_when_its_time_is_used_up_or_its_steps_are_made():
    """60 steps in 6 of 10 seconds: 100 in all, unless fewer are planned."""
    assert total_steps(trainer(None, Clock(10, used=6)), 60, math.inf) == pytest.approx(100)
    assert total_steps(trainer(None, Clock(10, used=6)), 60, 80) == 80
    assert total_steps(trainer(None, Clock(10, used=6)), 60, 120) == pytest.approx(100)
    assert total_steps(trainer(None, Clock(10)), 0, math.inf) == math.inf
    assert total_steps(trainer(None), 60, -1) == math.inf  # of a loader without a length
    assert total_steps(trainer(None, Timer()), 60, 70) == 70


def test_the_rate_follows_the_share_of_the_time():
    clock = Clock(10)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = with_warmup_cosine(optimizer, trainer(math.inf, clock), 0.2)["lr_scheduler"]["scheduler"]
    for step in range(1, 101):
        clock.used = step / 10
        optimizer.step()
        schedule.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(2 * warmup_cosine(step, 100, 0.2))


def test_training_for_a_time_ends_at_rate_0_and_learns():
    module = Line()
    fitted(module, max_time={"seconds": 2}, max_epochs=-1)
    assert max(module.rates) > 0.09
    assert module.rates[-1] < 0.01
    assert abs(module.weight.item() - 1) < 0.1


def test_a_resumed_run_counts_the_time_that_was_used(tmp_path):
    """Half of the time was used before: the rate goes on falling where it was, and the other half is left."""
    clock = Clock(100, used=50)
    fitted(Line(), max_steps=10, max_epochs=-1, callbacks=[clock]).save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["callbacks"].pop("Clock")["time_elapsed"]["train"] == 50
    saved["callbacks"]["Timer"] = {"time_elapsed": {"train": 50.0}}
    torch.save(saved, tmp_path / "last.ckpt")
    once = LambdaCallback(on_train_batch_end=lambda runner, *_: setattr(runner, "should_stop", True))
    runner = fitted(
        Line(warmup=0.0), tmp_path / "last.ckpt", [once], max_steps=1000, max_epochs=-1, max_time={"seconds": 100}
    )
    assert runner.global_step == 11
    assert runner.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1 * 0.5, rel=0.05)


@pytest.mark.parametrize("options", [{"max_steps": 0}, {"max_epochs": 0}, {"max_epochs": 1, "limit_train_batches": 0}])
def test_no_step_at_all(options):
    module = Line()
    fitted(module, **options)
    assert module.rates == []
    assert module.weight.item() == 5


def test_the_finders_rate_is_the_one_that_is_trained_with(tmp_path):
    finder = LearningRateFinder(num_training_steps=30, min_lr=1e-4)
    module = Line(warmup=0.2)
    fitted(module, max_epochs=5, callbacks=[finder], default_root_dir=tmp_path)
    advice = finder.optimal_lr.suggestion()
    assert module.hparams.lr == advice
    assert advice not in (None, 0.1)
    assert module.rates[30:] == pytest.approx([advice * warmup_cosine(step, 50, 0.2) for step in range(50)])


def test_a_resumed_run_takes_the_rate_that_is_asked_for_now(tmp_path):
    fitted(Line(), max_steps=4).save_checkpoint(tmp_path / "last.ckpt")
    module = Line(lr=0.7)
    fitted(module, tmp_path / "last.ckpt", max_steps=8)
    assert module.rates == pytest.approx([0.7 * warmup_cosine(step, 8, 0.1) for step in range(4, 8)])
