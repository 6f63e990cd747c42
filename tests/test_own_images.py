"""The example's way from a folder of images to a classifier, and to models that draw such images and are measured by
it, each command in its shortest form."""

import csv
import shlex
from pathlib import Path

import pytest
import torch

import train
from checkpoints.load_trained import load_trained
from datamodules.fonts import write_letters
from tests.test_train import ROOT

EXAMPLE = ROOT / "examples" / "own_images"
SHORT = shlex.split(
    "--trainer.max_epochs 1 --trainer.limit_train_batches 2 --trainer.num_sanity_val_steps 0 "
    "--trainer.enable_model_summary false --trainer.check_val_every_n_epoch 1 --trainer.log_every_n_steps 1 "
    "--trainer.accelerator cpu --trainer.precision 32-true --data.source letters --data.batch_size 8"
)
TINY = {
    "classifier": "--model.widths [8,8,8] --model.proxy_widths [8,8,8]",
    "gan": "--model.generator.width 4 --model.discriminator.width 4 --trainer.callbacks.samples 16",
    "ddpm": "--model.network.widths [64] --model.sampling_steps 2 --model.num_samples 3 --trainer.callbacks.samples 16",
}


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FIRSTLIGHT_DATA", "")
        write_letters(Path("letters"), count=3, side=16)
        yield


def command(name: str, subcommand: str, *words: str):
    return train.main([subcommand, "--config", str(EXAMPLE / f"{name}.yaml"), *SHORT, *TINY[name].split(), *words])


@pytest.fixture(scope="module")
def classifier(elsewhere):
    return command("classifier", "fit", "--run", "version_0")


def test_a_classifier_trains_on_a_folder(classifier):
    assert list(classifier.model.hparams.shape) == [1, 16, 16]
    assert classifier.model.hparams.num_classes == 26
    model = load_trained("runs/classifier/version_0")
    assert model.class_names == tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert command("classifier", "test", "--ckpt_path", "last").trainer.callback_metrics["test/accuracy"] <= 1


def test_it_answers_images_of_any_size(classifier):
    write_letters(Path("larger"), count=1, side=40, channels=3)
    command("classifier", "predict", "--ckpt_path", "last", "--data.images", "larger")
    (path,) = Path("runs").rglob("predictions.csv")
    answers = list(csv.DictReader(path.open()))
    assert len(answers) == 26
    assert {answer["class"] for answer in answers} <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@pytest.mark.parametrize("name", ["gan", "ddpm"])
def test_models_that_draw_are_measured_by_it(name, classifier):
    trained = command(name, "fit")
    assert trained.trainer.global_step > 0
    metrics = command(name, "test", "--ckpt_path", "last").trainer.callback_metrics
    assert metrics["test/fid"] >= 0
    drawn = load_trained(f"runs/{name}/version_0").sample([0, 25], generator=torch.Generator().manual_seed(0))
    assert (drawn.shape, drawn.dtype) == ((2, 1, 16, 16), torch.uint8)


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path, monkeypatch):
    """With a set that stays in its file: weights are the same to the bit."""
    write_letters(tmp_path / "letters", count=2, side=16)
    weights = []
    for stops in (["2"], ["1", "2"]):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "-".join(stops)).mkdir()
        monkeypatch.chdir(tmp_path / "-".join(stops))
        for number, stop in enumerate(stops):
            words = ["--data.source", "../letters", "--data.in_memory", "0", "--trainer.max_epochs", "-1"]
            words += ["--trainer.max_steps", stop, "--trainer.limit_val_batches", "0", "--checkpoint.monitor", "null"]
            command("classifier", "fit", *words, *(["--ckpt_path", "last"] if number else []))
        weights.append(torch.load("runs/classifier/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
