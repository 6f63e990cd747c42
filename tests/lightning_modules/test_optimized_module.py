"""Optimizers and schedules of the user's choice, in Lightning's own trainer."""

from functools import partial

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback, LearningRateFinder
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau
from torch.utils.data import DataLoader

from lightning_modules.optimized_module import OptimizedModule, scheduled
from optim.lr_schedule import Constant, WarmupCosine, WarmupLinear
from tests.optim.test_lr_schedule import Clock


class Line(OptimizedModule):
    """A number in a matrix, and one in a vector, that the same gradient pulls."""

    def __init__(self, lr=0.1, optimizer=torch.optim.SGD, lr_schedule=None):
        super().__init__(lr, optimizer, lr_schedule)
        self.save_hyperparameters({"lr": lr})
        self.weight, self.bias = nn.Parameter(torch.tensor([[5.0]])), nn.Parameter(torch.tensor([5.0]))
        self.rates, self.groups = [], []

    def training_step(self, batch, batch_idx):
        groups = self.trainer.optimizers[0].param_groups
        self.rates.append(groups[0]["lr"])
        self.groups = [{name: value for name, value in group.items() if name != "params"} for group in groups]
        return (self.weight - 1).square().sum() + (self.bias - 1).square().sum()


def trainer(callbacks=(), **options):
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    return L.Trainer(accelerator="cpu", callbacks=list(callbacks), **quiet | options)


def fitted(module, ckpt_path=None, callbacks=(), **options):
    runner = trainer(callbacks, **options)
    runner.fit(module, DataLoader(range(10)), ckpt_path=ckpt_path, weights_only=True)
    return runner


def test_by_default_adamw_and_a_cosine():
    module = OptimizedModule()
    assert module.make_optimizer is torch.optim.AdamW
    assert isinstance(module.lr_schedule, WarmupCosine)
    with pytest.raises(ValueError, match=r"lr=-0\.1 must be"):
        OptimizedModule(lr=-0.1)


@pytest.mark.parametrize("schedule", [WarmupCosine(0.3), WarmupLinear(2, final=0.5), Constant()])
def test_the_optimizer_follows_the_schedule(schedule):
    module = Line(lr_schedule=schedule)
    fitted(module, max_steps=10)
    assert module.rates == pytest.approx([0.1 * schedule(step, 10) for step in range(10)])


def test_any_optimizer_of_torch_with_any_arguments():
    module = Line(optimizer=partial(torch.optim.RMSprop, alpha=0.5, weight_decay=0.25))
    fitted(module, max_steps=1)
    assert [group["alpha"] for group in module.groups] == [0.5, 0.5]
    assert [group["weight_decay"] for group in module.groups] == [0.25, 0.0]  # matrices alone
    assert isinstance(module.trainer.optimizers[0], torch.optim.RMSprop)


def test_a_scheduler_of_torch_is_stepped_at_every_step():
    module = Line(lr_schedule=partial(CosineAnnealingLR, T_max=20))
    fitted(module, max_epochs=2)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    peer, expected = CosineAnnealingLR(optimizer, 20), []
    for _ in range(20):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        peer.step()
    assert module.rates == pytest.approx(expected)
    by_function = Line(lr_schedule=lambda optimizer: CosineAnnealingLR(optimizer, 20))
    fitted(by_function, max_epochs=2)
    assert by_function.rates == module.rates


def test_a_scheduler_that_waits_for_a_metric_is_refused():
    with pytest.raises(ValueError, match="ReduceLROnPlateau waits for a metric"):
        fitted(Line(lr_schedule=ReduceLROnPlateau), max_steps=1)


@pytest.mark.parametrize(
    ("precision", "clip", "unscaled", "fused"),
    [
        ("32-true", None, False, True),
        ("32-true", 1.0, False, True),
        ("bf16-mixed", None, True, True),
        ("bf16-mixed", 1.0, False, None),
    ],
)
def test_a_step_is_fused_where_nobody_clips_after_it(precision, clip, unscaled, fused):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    runner = trainer(max_steps=1, precision=precision, gradient_clip_val=clip)
    scheduled(optimizer, Constant(), runner, planned=1, unscaled=unscaled)
    assert optimizer.param_groups[0]["fused"] is fused


def test_the_rate_follows_the_share_of_the_time():
    clock = Clock(10)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    runner = trainer([clock], max_epochs=-1)
    schedule = scheduled(optimizer, WarmupCosine(0.2), runner, planned=float("inf"))["lr_scheduler"]["scheduler"]
    for step in range(1, 101):
        clock.used = step / 10
        optimizer.step()
        schedule.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(2 * WarmupCosine(0.2)(step, 100))


def test_training_for_a_time_ends_at_rate_0_and_learns():
    module = Line()
    fitted(module, max_time={"seconds": 2}, max_epochs=-1)
    assert max(module.rates) > 0.09
    assert module.rates[-1] < 0.01
    assert abs(module.weight.item() - 1) < 0.1


def test_the_first_step_of_a_training_for_a_time_has_its_rate():
    module = Line(lr_schedule=WarmupCosine(0.0))
    fitted(module, max_time={"seconds": 100}, max_epochs=-1, max_steps=2)
    assert module.rates[0] == 0.1


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
        Line(lr_schedule=WarmupCosine(0.0)),
        tmp_path / "last.ckpt",
        [once],
        max_steps=1000,
        max_epochs=-1,
        max_time={"seconds": 100},
    )
    assert runner.global_step == 11
    assert runner.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1 * 0.5, rel=0.05)


@pytest.mark.parametrize("options", [{"max_steps": 0}, {"max_epochs": 0}, {"max_epochs": 1, "limit_train_batches": 0}])
def test_no_step_at_all(options):
    module = Line()
    fitted(module, **options)
    assert module.rates == []
    assert module.weight.item() == 5


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (WarmupCosine(0.2), WarmupCosine(0.2)),
        (partial(CosineAnnealingLR, T_max=50), WarmupCosine(0.0)),
    ],
    ids=["ours", "torch's"],
)
def test_the_finders_rate_is_the_one_that_is_trained_with(schedule, expected, tmp_path):
    finder = LearningRateFinder(num_training_steps=30, min_lr=1e-4)
    module = Line(lr_schedule=schedule)
    fitted(module, max_epochs=5, callbacks=[finder], default_root_dir=tmp_path)
    advice = finder.optimal_lr.suggestion()
    assert module.hparams.lr == advice
    assert advice not in (None, 0.1)
    assert module.rates[30:] == pytest.approx([advice * expected(step, 50) for step in range(50)])


def test_one_cycle_of_torch():
    """It has rates, and momentum, of its own."""
    cycle = partial(OneCycleLR, max_lr=0.3, total_steps=11)
    module = Line(lr_schedule=cycle, optimizer=partial(torch.optim.SGD, momentum=0.9))
    fitted(module, max_steps=10)
    assert max(module.rates) == pytest.approx(0.3, rel=0.05)
    assert module.groups[0]["momentum"] != 0.9
