import re

import lightning as L
import pytest

from callbacks.start_line import StartLine, line
from datamodules.mnist import MNIST
from tests.callbacks.test_progress_lines import Talker
from tests.cli.toys import ToyData


def said_of(capsys, data=None, **options) -> list[str]:
    quiet = dict.fromkeys(["logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary"], False)
    trainer = L.Trainer(accelerator="cpu", callbacks=[StartLine()], **options, **quiet)
    trainer.fit(Talker(), data or ToyData())
    return [line for line in " ".join(capsys.readouterr().err.split()).split("Talker of ") if "parameters" in line]


def test_a_line_says_what_is_trained_on_what_where_and_for_how_long(capsys):
    """A network of 5 x 4 + 4 + 4 x 3 + 3 weights, four batches an epoch; 20 batches are five of nine epochs."""
    (said,) = said_of(capsys, max_epochs=9, precision="bf16-mixed", limit_val_batches=0)
    length = "ToyData, 4 batches an epoch, 9 epochs"
    assert said == f"39 parameters; {length}; CPU, bf16-mixed; less than a minute"


@pytest.mark.parametrize("epochs", [1, 7])
def test_it_comes_once_before_the_first_validation_at_the_latest(epochs, capsys):
    (said,) = said_of(capsys, max_epochs=epochs)
    assert "and the validations" in said


def test_a_training_by_steps_says_how_many(capsys):
    (said,) = said_of(capsys, max_steps=3, max_epochs=-1)
    assert "ToyData, 3 steps" in said
    (said,) = said_of(capsys, max_steps=1, max_epochs=-1)  # too short to be measured
    assert said.endswith("CPU, 32-true")


def test_frozen_weights_are_not_counted(capsys):
    trainer = L.Trainer(accelerator="cpu", barebones=True)
    module = Talker()
    module.network.layers[0].requires_grad_(False)
    assert re.match("Talker of 15 parameters; plain loaders", line(trainer, module))


def test_the_source_of_the_data_is_named():
    trainer = L.Trainer(accelerator="cpu", barebones=True, max_epochs=2)
    trainer.datamodule = MNIST(source="fonts")
    assert "MNIST from fonts, " in line(trainer, Talker())
