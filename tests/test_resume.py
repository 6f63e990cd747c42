"""A run that is stopped and resumed equals one that never stopped, to the bit: checkpoints and what is logged."""

from pathlib import Path

import pytest
import torch

from tests.families import FAMILIES
from tests.runs import checkpoint, differences, fit, scalars, stop_at, stopped

BATCHES = 4  # an epoch of a short run, of which there are two
SIX = ("mnist_mlp", "cifar10_fast", "sorting_encoder_decoder", "svhn_gan", "mnist_ddpm", "pusht")


@pytest.fixture
def resumed_equals_whole(tmp_path, monkeypatch):
    """Compares a run with ones that are stopped in given batches, counted over all epochs, and resumed."""

    def compare(config: str, *stops: int, words: tuple[str, ...] = (), tiny: bool = True) -> None:
        def folder(name: str) -> Path:
            (tmp_path / name).mkdir()
            monkeypatch.chdir(tmp_path / name)
            return tmp_path / name / "runs" / config / "version_0"

        whole = folder("whole")
        fit(config, *words, tiny=tiny)
        for stop in stops:
            parted = folder(f"stopped-{stop}")
            stopped(config, *words, *stop_at(stop), tiny=tiny)
            before = checkpoint(parted)
            fit(config, *words, "--ckpt_path", "last", tiny=tiny)
            assert before["global_step"] < checkpoint(parted)["global_step"]
            for name in ("last", "best"):
                assert not differences(checkpoint(parted, name), checkpoint(whole, name)), (name, stop)
            assert scalars(parted) == scalars(whole), stop
            files = [{path.name for path in run.rglob("*") if "tfevents" not in path.name} for run in (parted, whole)]
            assert files[0] == files[1]
            assert (parted / "config.yaml").read_text() == (whole / "config.yaml").read_text()

    return compare


@pytest.mark.parametrize("config", [name if name in SIX else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES])
def test_within_an_epoch(config, resumed_equals_whole):
    resumed_equals_whole(config, BATCHES + 2)


@pytest.mark.parametrize(
    "config", [name if name == "mnist_mlp" else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
)
def test_at_the_end_of_an_epoch_and_within_the_first(config, resumed_equals_whole):
    resumed_equals_whole(config, BATCHES, 1)


@pytest.mark.slow
@pytest.mark.parametrize("config", FAMILIES)
def test_as_large_as_the_config_says(config, resumed_equals_whole):
    """Networks, batches and callbacks are the config's own."""
    resumed_equals_whole(config, BATCHES + 2, tiny=False)


@pytest.mark.parametrize("stop", [3, 5])
def test_where_validation_comes_within_an_epoch(stop, resumed_equals_whole):
    """In the very batch, and between two."""
    words = "--trainer.check_val_every_n_epoch null --trainer.val_check_interval 3 --trainer.max_steps 8"
    resumed_equals_whole("mnist_mlp", stop, words=tuple(words.split()))


def test_where_batches_share_a_step(resumed_equals_whole):
    """A stop in the first of two waits for the second: no checkpoint holds gradients."""
    resumed_equals_whole("mnist_mlp", BATCHES + 1, words=("--trainer.accumulate_grad_batches", "2"))


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
