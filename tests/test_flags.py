"""Every plain flag of Lightning's Trainer works in every family, or is refused in one line."""

import contextlib
import shlex
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, Timer, TQDMProgressBar
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from safetensors.torch import load_file, save_file

import train
from checkpoints import runs
from tests.families import FAMILIES
from tests.runs import ROOT, SHORT

FLAGS = {
    "no progress bar": "--trainer.enable_progress_bar false",
    "no checkpoints": "--trainer.enable_checkpointing false",
    "no logger": "--trainer.logger false",
    "CSV logger": "--trainer.logger lightning.pytorch.loggers.CSVLogger --trainer.logger.save_dir logs",
    "barebones": "--trainer.barebones true --trainer.log_every_n_steps null --trainer.enable_model_summary null",
    "development run": "--trainer.fast_dev_run true",
    "overfit": "--trainer.overfit_batches 2",
    "time": "--trainer.max_time 00:01:00:00",
    "shared steps": "--trainer.accumulate_grad_batches 2",
    "no validation": "--trainer.limit_val_batches 0",
    "another bar": "--trainer.callbacks+=lightning.pytorch.callbacks.TQDMProgressBar",
    "another checkpoint": "--trainer.callbacks+=lightning.pytorch.callbacks.ModelCheckpoint",
    "timer": "--trainer.callbacks+=lightning.pytorch.callbacks.Timer",  # has an enumeration among its defaults
    "early stopping": "--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping "
    "--trainer.callbacks.monitor={monitor}",
}
PAIRED = [  # each flag once
    ("no progress bar", "no checkpoints", "no logger", "overfit"),
    ("CSV logger", "shared steps", "another bar", "timer"),
    ("time", "another checkpoint", "early stopping"),
    ("no validation",),
    ("barebones",),
    ("development run",),
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_DATA", "")


def fit(name: str, words: str, quiet: bool = True):
    short = f"{shlex.join(SHORT)} --trainer.max_epochs 1 --trainer.limit_train_batches 2 --trainer.limit_val_batches 1"
    given = [*FAMILIES[name].words(quiet=quiet), *shlex.split(short), *shlex.split(words)]
    return train.main(["fit", "--config", str(ROOT / f"configs/{name}.yaml"), *given])


def fit_with(name: str, flags: tuple[str, ...]) -> None:
    """A run of a family with some of FLAGS, and what they ask for: with the callbacks that its config brings."""
    monitor = "val/real_logit" if name == "svhn_gan" else "val/loss"
    words = " ".join(FLAGS[flag] for flag in flags).format(monitor=monitor)
    if name == "cifar10_fast" and "early stopping" in flags:  # its config holds nothing out
        words += " --data.val_share 0.2"
    trainer = fit(name, words).trainer
    batches = 2  # of an epoch
    if "barebones" not in flags:
        shared = 2 if "shared steps" in flags else 1
        per_batch = 2 if name == "svhn_gan" else 1
        assert trainer.global_step == (1 if "development run" in flags else batches // shared) * per_batch
    kinds = [type(callback) for callback in trainer.callbacks]
    off = {"barebones", "development run"} & set(flags)
    assert bool(trainer.progress_bar_callback) == (not {"no progress bar", "barebones"} & set(flags))
    assert bool(trainer.loggers) == (not {"no logger"} & set(flags) and not off)
    no_checkpoints = {"no checkpoints"} & set(flags) or off
    assert bool(list(Path("runs").rglob("last.ckpt"))) == (not no_checkpoints)
    for flag, kind in {"another bar": TQDMProgressBar, "timer": Timer, "early stopping": EarlyStopping}.items():
        assert (kind in kinds) == (flag in flags or (kind is Timer and "time" in flags)), flag
    if "another checkpoint" in flags:
        assert ModelCheckpoint in kinds
    if "CSV logger" in flags:
        (metrics,) = Path("logs").rglob("metrics.csv")
        assert "train/" in metrics.read_text().splitlines()[0]
    if "development run" in flags:
        assert not list(Path().iterdir())
    else:
        (run,) = Path("runs", name).iterdir()
        assert runs.config_of(run)["trainer"]["max_epochs"] == 1  # what is written can be read


@pytest.mark.parametrize("name", FAMILIES)
def test_flags_together(name, tmp_path):
    """In every family, each flag once."""
    assert sorted(flag for flags in PAIRED for flag in flags) == sorted(FLAGS)
    for number, flags in enumerate(PAIRED):
        if name == "svhn_gan":  # two optimizers step by themselves
            flags = tuple(flag for flag in flags if flag != "shared steps")
        (tmp_path / str(number)).mkdir()
        with contextlib.chdir(tmp_path / str(number)):
            fit_with(name, flags)


@pytest.mark.slow
@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_flag(name, flag):
    if (name, flag) != ("svhn_gan", "shared steps"):
        fit_with(name, (flag,))


def test_two_optimizers_share_no_steps():
    with pytest.raises(MisconfigurationException, match="accumulation"):
        fit("svhn_gan", FLAGS["shared steps"])


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
    capsys.readouterr()
    images = ["--config", str(ROOT / "configs/pusht_image.yaml"), "--data.source", "bundled"]
    begun = train.main(["fit", *images, "--init_from", "pusht_human", *words])
    assert "; features.image_encoder, features.head begin anew" in capsys.readouterr().err
    for key, weight in weights.items():
        assert torch.equal(begun.model.state_dict()[key], weight.float()), key
    Path("more").mkdir()
    save_file(weights | {"features.unknown": torch.zeros(1)}, "more/model.safetensors")
    with pytest.raises(ValueError, match=r"more/model.safetensors do not fit .* features.unknown"):
        train.main(["fit", *images, "--init_from", "more", *words])
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
