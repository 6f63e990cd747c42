"""A run that is stopped and resumed equals one that never stopped, to the bit: checkpoints and what is logged."""

import shlex
import shutil

import pytest
import torch
import yaml

from tests.families import FAMILIES
from tests.runs import ROOT, checkpoint, differences, fit, resumed_differs

BATCHES = 4  # an epoch of a short run, of which there are two
SIX = ("mnist_mlp", "cifar10_fast", "sorting_encoder_decoder", "svhn_gan", "mnist_ddpm", "pusht")


@pytest.mark.parametrize(
    "config", [name if name in SIX else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
)
def test_within_an_epoch(config, tmp_path):
    assert not resumed_differs(config, BATCHES + 2, tmp_path)


@pytest.mark.parametrize("stop", [BATCHES, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "config", ["svhn_gan", *(pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES if name != "svhn_gan")]
)
def test_at_the_end_of_an_epoch_and_within_the_first(config, stop, tmp_path):
    assert not resumed_differs(config, stop, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("config", FAMILIES)
def test_as_large_as_the_config_says(config, tmp_path):
    """Networks, batches and callbacks are the config's own."""
    assert not resumed_differs(config, BATCHES + 2, tmp_path, tiny=False)


@pytest.mark.parametrize("stop", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_where_validation_comes_within_an_epoch(stop, tmp_path):
    """In the very batch, and between two."""
    words = "--trainer.check_val_every_n_epoch null --trainer.val_check_interval 3 --trainer.max_steps 8"
    assert not resumed_differs("mnist_mlp", stop, tmp_path, *shlex.split(words))


@pytest.mark.slow
def test_where_batches_share_a_step(tmp_path):
    """A stop in the first of two waits for the second: no checkpoint holds gradients."""
    assert not resumed_differs("mnist_mlp", BATCHES + 1, tmp_path, "--trainer.accumulate_grad_batches=2")


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_averages_are_of_weights_alone(config):
    """An averaged buffer is not quite what it was, and one that no checkpoint holds starts anew in a resumed run."""
    for callback in yaml.safe_load(config.read_text())["trainer"].get("callbacks", []):
        if callback["class_path"].endswith("WeightAveraging"):
            assert callback["init_args"]["use_buffers"] is False


def test_last_is_the_newest_run_of_the_config_and_goes_on_in_its_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs/svhn_gan"
    fit("svhn_gan", "--ckpt_path", "last")
    assert "runs/svhn_gan holds no last.ckpt" in capsys.readouterr().err
    shutil.copytree(runs / "version_0", runs / "version_10")
    shutil.copytree(runs / "version_0", runs / "version_9")
    fit("svhn_gan", "--ckpt_path", "last", "--trainer.max_epochs", "3")
    assert "going on from runs/svhn_gan/version_10/checkpoints/last.ckpt" in capsys.readouterr().err
    assert sorted(path.name for path in runs.iterdir()) == ["version_0", "version_10", "version_9"]
    assert checkpoint(runs / "version_10")["epoch"] == 2
    assert checkpoint(runs / "version_9")["epoch"] == 1


def test_a_difference_is_seen():
    ours = {"a": [torch.zeros(3), 1], "b": "x"}
    assert not differences(ours, {"a": [torch.zeros(3), 1], "b": "x"})
    for theirs in (
        {"a": [torch.tensor([0.0, 0.0, 1e-45]), 1], "b": "x"},
        {"a": [torch.zeros(3).double(), 1], "b": "x"},
        {"a": [torch.zeros(3), 1], "b": "y"},
        {"a": [torch.zeros(3)], "b": "x"},
        {"a": [torch.zeros(3), 1]},
    ):
        assert differences(ours, theirs)
