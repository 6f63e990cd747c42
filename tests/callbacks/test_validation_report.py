import pytest

import train
from callbacks.validation_report import ValidationReport
from checkpoints.runs import LAST
from tests.cli.runs import RUN, SHORT, TOYS

EPOCHS = ["--trainer.max_epochs=4", "--trainer.num_sanity_val_steps=1"]


def fit(reports, *words):
    return train.main(["fit", *TOYS, *SHORT, *EPOCHS, *words], reports).trainer


@pytest.mark.usefixtures("offline")
def test_each_validation_is_told_once_and_the_answer_ends_a_training_that_can_go_on():
    told = []
    unmeasured = ValidationReport("val/none", lambda *report: pytest.fail("told"))
    trainer = fit([ValidationReport("val/loss", lambda step, loss: told.append((step, loss)) or step == 8), unmeasured])
    assert [step for step, _ in told] == [4, 8]  # four batches an epoch, and none of the sanity check
    assert told[-1][1] == pytest.approx(float(trainer.callback_metrics["val/loss"]))
    assert trainer.global_step == 8
    assert "ValidationReport" not in (RUN / "config.yaml").read_text()
    fit([ValidationReport("val/loss", lambda step, loss: told.append((step, loss)))], "--ckpt_path", str(RUN / LAST))
    assert [step for step, _ in told] == [4, 8, 12, 16]
