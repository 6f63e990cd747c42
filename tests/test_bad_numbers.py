"""A loss or a gradient that is no number ends `train.py fit` at that batch; the checkpoints stay those from before."""

import pytest
import torch

from tests.families import FAMILIES
from tests.runs import checkpoint, fit, spoil_at, stopped

BATCHES = 4  # an epoch of a short run, of which there are two
CASES = [(config, method) for config, family in FAMILIES.items() for method in family.losses]
QUICK = ("mnist_mlp", "svhn_gan")


@pytest.fixture
def spoiled(tmp_path, monkeypatch, capsys):
    """A run whose loss is spoiled in a batch: the line it ends with, and its last checkpoint."""

    def run(config: str, *words: str, tiny: bool = True):
        monkeypatch.chdir(tmp_path)
        assert stopped(config, *words, tiny=tiny) == 2
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return said.strip().splitlines()[-1], tmp_path / "runs" / config / "version_0"

    return run


@pytest.mark.parametrize(
    ("config", "method"),
    [case if case[0] in QUICK else pytest.param(*case, marks=pytest.mark.slow) for case in CASES],
)
@pytest.mark.parametrize(
    "kind", ["nan", pytest.param("inf", marks=pytest.mark.slow), pytest.param("slope", marks=pytest.mark.slow)]
)
def test_it_ends_the_run_at_its_batch(config, method, kind, spoiled):
    line, folder = spoiled(config, *spoil_at(BATCHES + 2, kind, method))
    before = checkpoint(folder)
    steps = before["global_step"]
    steps += steps // BATCHES + (method == "generator_loss")  # the discriminator has taken its step
    what = "the gradient is NaN or infinite where the loss is not" if kind == "slope" else f"the loss is {kind}"
    assert line.startswith(f"train.py: {what} at step {steps} (epoch 1, batch 1)")
    assert all(torch.isfinite(weight).all() for weight in before["state_dict"].values())
    assert before["epoch"] == 0


def test_after_it_a_run_goes_on_from_the_last_checkpoint(spoiled):
    line, folder = spoiled("mnist_mlp", *spoil_at(BATCHES + 2, "nan"))
    assert "--ckpt_path last" in line
    fit("mnist_mlp", "--ckpt_path", "last")
    assert checkpoint(folder)["global_step"] == 2 * BATCHES


def test_weights_that_are_no_numbers_are_not_saved(spoiled):
    """A step of an endless learning rate in an epoch's last batch, after which no loss would show them."""
    words = ["--model.optimizer=torch.optim.SGD", "--model.lr=1e42", "--model.lr_schedule=optim.lr_schedule.Constant"]
    words.append("--trainer.limit_train_batches=1")
    line, folder = spoiled("mnist_softmax", *words)
    assert line.startswith("train.py: weights are NaN or infinite at step 1 (epoch 0, batch 0): they were not saved")
    assert not list(folder.rglob("last.ckpt"))
