"""How long a training is planned to be, by Lightning's own trainer."""

import itertools
import math
from datetime import timedelta

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Timer
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from optim.training_length import planned_steps, total_steps


class Clock(Timer):
    """A timer that is told how many seconds were used."""

    def __init__(self, duration: float, used: float = 0.0):
        super().__init__(timedelta(seconds=duration))
        self.used = used

    def time_elapsed(self, stage="train"):
        return self.used


class Endless(IterableDataset):
    def __iter__(self):
        return iter(itertools.repeat(0))


class Planned(L.LightningModule):
    """Notes what is planned where optimizers are made."""

    def __init__(self, steps_per_batch: float = 1.0):
        super().__init__()
        self.weight, self.steps_per_batch = nn.Parameter(torch.zeros(())), steps_per_batch

    def training_step(self, batch, batch_idx):
        self.trainer.should_stop = True
        return self.weight

    def configure_optimizers(self):
        self.planned = planned_steps(self.trainer, self.steps_per_batch)
        self.ends = {step: total_steps(self.trainer, step, self.planned) for step in (0, 60)}
        return torch.optim.SGD(self.parameters(), 0.1)


def fitted(data=range(20), steps_per_batch=1.0, **options) -> Planned:
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    module = Planned(steps_per_batch)
    L.Trainer(accelerator="cpu", **quiet | options).fit(module, DataLoader(data))
    return module


@pytest.mark.parametrize(
    ("options", "planned"),
    [
        ({"max_epochs": 4}, 80),
        ({"max_epochs": 4, "max_steps": 30}, 80),  # a stop
        ({"max_epochs": 4, "max_steps": 1000}, 80),
        ({"max_epochs": 4, "accumulate_grad_batches": 3}, 28),
        ({"max_epochs": 4, "limit_train_batches": 5}, 20),
        ({"max_epochs": -1, "max_steps": 30}, 30),
        ({"max_steps": 30}, 30),
        ({"max_epochs": -1}, math.inf),
        ({"data": Endless(), "max_epochs": 4, "max_steps": 30}, 30),  # no known number of epochs' steps
        ({"data": Endless(), "max_epochs": 4}, math.inf),
        ({"max_epochs": 4, "max_steps": 30, "steps_per_batch": 2}, 80),  # batches
        ({"max_epochs": -1, "max_steps": 30, "steps_per_batch": 2}, 15),
        ({"max_epochs": 4, "max_time": {"seconds": 1}}, 80),
    ],
)
def test_epochs_are_the_plan_and_without_them_steps(options, planned):
    assert fitted(**options).ends == {0: planned, 60: planned}


def test_without_epochs_a_training_ends_when_its_time_is_used_up():
    """60 steps in 6 of 10 seconds: 100 in all, unless fewer are planned."""
    for steps, planned in ((-1, 100), (80, 80), (120, 100)):
        ends = fitted(max_epochs=-1, max_steps=steps, callbacks=[Clock(10, used=6)]).ends
        assert ends[60] == pytest.approx(planned)
    assert fitted(max_epochs=-1, callbacks=[Clock(10)]).ends == {0: math.inf, 60: math.inf}
    assert fitted(max_epochs=-1, max_steps=70, callbacks=[Timer()]).ends == {0: 70, 60: 70}


def test_beside_epochs_time_is_a_stop():
    assert fitted(max_epochs=4, callbacks=[Clock(10, used=6)]).ends == {0: 80, 60: 80}
