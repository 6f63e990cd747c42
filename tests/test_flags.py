"""Every plain flag of Lightning's Trainer works in every family, or is refused in one line."""

import shlex
from pathlib import Path

import pytest
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from safetensors.torch import load_file

import train
from checkpoints import runs
from tests.families import FAMILIES
from tests.runs import ROOT, SHORT

OFF = "--trainer.enable_progress_bar false --trainer.enable_checkpointing false --trainer.logger false"
FLAGS = [
    "--trainer.enable_progress_bar false",
    "--trainer.enable_checkpointing false",
    "--trainer.logger false",
    "--trainer.barebones true --trainer.log_every_n_steps null --trainer.enable_model_summary null",
    "--trainer.overfit_batches 2",
    "--trainer.max_time 00:01:00:00",
    "--trainer.accumulate_grad_batches 2",
    "--trainer.limit_val_batches 0",
    "--trainer.callbacks+=lightning.pytorch.callbacks.TQDMProgressBar",
    "--trainer.callbacks+=lightning.pytorch.callbacks.ModelCheckpoint",
    "--trainer.logger lightning.pytorch.loggers.CSVLogger --trainer.logger.save_dir logs",
]
CHEAP = ("mnist_softmax", "sorting_encoder", "svhn_gan")
SLOW = pytest.mark.slow


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_DATA", "")


def fit(name: str, words: str, quiet: bool = True):
    short = f"{shlex.join(SHORT)} --trainer.max_epochs 1 --trainer.limit_train_batches 2 --trainer.limit_val_batches 1"
    given = [*FAMILIES[name].words(quiet=quiet), *shlex.split(short), *shlex.split(words)]
    return train.main(["fit", "--config", str(ROOT / f"configs/{name}.yaml"), *given])


@pytest.mark.parametrize("name", FAMILIES)
def test_all_kinds_turned_off(name):
    trainer = fit(name, OFF).trainer
    assert trainer.global_step
    assert not trainer.loggers
    assert not trainer.progress_bar_callback
    assert not trainer.checkpoint_callbacks
    assert not list(Path().rglob("*.ckpt"))


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize(
    "name", ["mnist_softmax", *(pytest.param(name, marks=SLOW) for name in FAMILIES if name != "mnist_softmax")]
)
def test_a_flag(name, flag):
    """With the callbacks that a config brings."""
    if name == "svhn_gan" and "accumulate" in flag:  # two optimizers step by themselves
        with pytest.raises(MisconfigurationException, match="accumulation"):
            fit(name, flag)
    else:
        trainer = fit(name, flag).trainer
        assert trainer.global_step or "barebones" in flag
        kept = list(Path("runs").rglob("last.ckpt"))
        assert bool(kept) == ("checkpointing" not in flag and "barebones" not in flag)


@pytest.mark.parametrize("name", [name if name in CHEAP else pytest.param(name, marks=SLOW) for name in FAMILIES])
def test_a_development_run_leaves_nothing_behind(name):
    fit(name, "--trainer.fast_dev_run true")
    assert not list(Path().iterdir())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_new_run_begins_from_the_weights_of_another(name, capsys):
    """From its folder, its checkpoint, and its weights alone; nothing but weights is taken over."""
    fit(name, "")
    (run,) = Path("runs", name).iterdir()
    weights = torch.load(run / runs.LAST, weights_only=True)["state_dict"]
    for given in (run / "checkpoints/last.ckpt", run):
        begun = fit(name, f"--init_from {given} --trainer.max_epochs 0")
        assert f"a new run from the weights of {run}" in capsys.readouterr().err
        assert begun.trainer.global_step == 0
        if given != run:  # whose best checkpoint may be another
            found = begun.model.state_dict()
            for key, parameter in begun.model.named_parameters():
                assert torch.equal(parameter, weights[key]), key
            assert found.keys() == weights.keys()
    assert len(list(Path("runs", name).iterdir())) == 3


def test_shipped_weights_begin_a_run_where_they_are_all_there_are(capsys):
    words = ["--trainer.max_epochs", "0", "--trainer.precision", "32-true", "--trainer.callbacks", "[]"]
    config = ["--config", str(ROOT / "configs/pusht_beyond.yaml")]
    begun = train.main(["fit", *config, "--init_from", "pusht_human", *words])
    weights = load_file(ROOT / "pretrained/pusht_human/model.safetensors")
    for key, parameter in begun.model.named_parameters():
        assert torch.equal(parameter, weights[key].float()), key
    gan = ["--config", str(ROOT / "configs/svhn_gan.yaml"), "--data.source", "fonts"]
    with pytest.raises(ValueError, match="weights for testing and drawing alone"):
        train.main(["fit", *gan, "--init_from", str(ROOT / "pretrained/svhn_gan"), *words])


@pytest.mark.parametrize(
    "line", ["test --ckpt_path last", "predict", "fit --ckpt_path runs/mnist_softmax/version_0/checkpoints/last.ckpt"]
)
def test_weights_alone_are_for_a_new_run(line):
    fit("mnist_softmax", "")
    config = ["--config", str(ROOT / "configs/mnist_softmax.yaml"), *FAMILIES["mnist_softmax"].words()]
    command, *words = line.split()
    with pytest.raises(ValueError, match=r"--init_from begins a new training run|needs a trained model"):
        train.main([command, *config, "--init_from", "pusht", *words])
