import pytest

import train
from callbacks.validation_report import ValidationReport
from checkpoints.runs import LAST
from tests.cli.runs import RUN, SHORT, TOYS

EPOCHS = ["--trainer.max_epochs=4", "--trainer.num_sanity_val_steps=1"]


@pytest.fixture(autouse=True)
def here(offline):
    pass


def fit(report, *words):
    return train.main(["fit", *TOYS, *SHORT, *EPOCHS, *words], [report]).trainer


def test_every_validation_is_told_once_with_its_step():
    told = []
    trainer = fit(ValidationReport("val/loss", lambda *report: told.append(report)))
    assert [step for step, _ in told] == [4, 8, 12, 16]  # four batches an epoch, and none of the sanity check
    assert told[-1][1] == pytest.approx(float(trainer.callback_metrics["val/loss"]))


def test_the_answer_ends_the_training_which_can_go_on():
    told = []
    trainer = fit(ValidationReport("val/loss", lambda step, loss: told.append(step) or step == 8))
    assert (trainer.global_step, told) == (8, [4, 8])
    fit(ValidationReport("val/loss", lambda step, loss: told.append(step)), "--ckpt_path", str(RUN / LAST))
    assert told == [4, 8, 12, 16]


def test_a_metric_that_is_not_measured_is_not_told():
    fit(ValidationReport("val/none", lambda *report: pytest.fail("told")))


def test_the_config_does_not_hear_of_it():
    fit(ValidationReport("val/loss", lambda *report: False))
    assert "ValidationReport" not in (RUN / "config.yaml").read_text()
