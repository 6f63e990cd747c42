import math

import lightning as L
import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks.log_interval import LogInterval, interval
from tests.callbacks.test_progress_lines import Talker
from tests.cli.toys import ToyData


@pytest.mark.parametrize("steps", [1, 7, 20, 21, 39, 40, 47, 399, 1000, 10**6])
def test_there_are_twenty_points_or_one_for_each_step(steps):
    assert steps // interval(steps) >= min(20, steps)
    assert interval(steps) <= 50


@pytest.mark.parametrize("steps", [-1, math.inf])
def test_a_length_that_is_not_known_is_logged_as_lightning_does(steps):
    assert interval(steps) == 50


@pytest.mark.parametrize("options", [{"max_epochs": 11}, {"max_epochs": -1, "max_steps": 44}])
def test_a_short_run_logs_twenty_points(options, tmp_path):
    quiet = dict.fromkeys(["enable_progress_bar", "enable_checkpointing", "enable_model_summary"], False)
    logger = TensorBoardLogger(tmp_path)
    trainer = L.Trainer(accelerator="cpu", logger=logger, callbacks=[LogInterval()], **options, **quiet)
    trainer.fit(Talker(), ToyData())
    events = EventAccumulator(trainer.log_dir).Reload().Scalars("train/loss")
    assert len(events) == 22
    assert trainer.log_every_n_steps == 2
