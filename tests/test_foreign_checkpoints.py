"""Checkpoints that are whole, but of another model or with parts missing."""

from pathlib import Path

import pytest
import torch

from lightning_modules.mlp_classifier import MLPClassifier
from lightning_modules.sequence_tagger import SequenceTagger
from tests.test_bad_input import has, refused  # noqa: F401  the fixture

VERSION = "pytorch-lightning_version"
MLP = "--config configs/mnist_mlp.yaml --data.source fonts --trainer.precision 32-true"


def whole(module) -> dict:
    """As Lightning writes it before the first step."""
    content = {"state_dict": module.state_dict(), VERSION: "2.6.6", "callbacks": {}, "loops": {}}
    return content | {"epoch": 0, "global_step": 0, "optimizer_states": [], "lr_schedulers": []}


CHECKPOINTS = {
    "of another model, without its arguments": (
        lambda: whole(SequenceTagger(vocab_size=9)),
        ["the checkpoint is of another model", "MLPClassifier", "config.yaml"],
    ),
    "of another width, without its arguments": (
        lambda: whole(MLPClassifier(hidden=[8])),
        ["the checkpoint is of another model", "MLPClassifier", "config.yaml"],
    ),
    "without a version": (
        lambda: {key: value for key, value in whole(MLPClassifier(hidden=[8])).items() if key != VERSION},
        ["foreign.ckpt is no checkpoint of a Lightning run", VERSION],
    ),
}


@pytest.mark.parametrize("command", ["fit", "test"])
@pytest.mark.parametrize("what", CHECKPOINTS)
def test_a_checkpoint_that_does_not_fit(what, command, refused, tmp_path):  # noqa: F811
    content, answers = CHECKPOINTS[what]
    torch.save(content(), Path("foreign.ckpt"))
    has(refused(f"{command} {MLP} --ckpt_path foreign.ckpt"), answers)
