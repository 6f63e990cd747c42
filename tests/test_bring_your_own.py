"""Parts of a file outside the repository, by YAML alone: train, validate, test, predict, resume, load."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import train
from checkpoints.load_trained import load_trained
from checkpoints.runs import LAST
from tests.test_train import ROOT, call

EXAMPLE = ROOT / "examples" / "bring_your_own"
SHORT = shlex.split(
    "--trainer.max_epochs 1 --trainer.limit_train_batches 2 --trainer.limit_val_batches 1 "
    "--trainer.limit_test_batches 1 --trainer.num_sanity_val_steps 0 --trainer.enable_model_summary false "
    "--trainer.check_val_every_n_epoch 1 --trainer.log_every_n_steps 1 --trainer.accelerator cpu"
)
PARTS = {  # attributes of the trained module, and the classes of own_parts.py that they must be of
    "classifier": {"network": "OwnClassifier", "lr_schedule": "Halving"},
    "tagger": {"network": "OwnTagger"},
    "gan": {"generator": "OwnGenerator", "discriminator": "OwnDiscriminator", "objective": "LeastSquares"},
    "ddpm": {"network": "OwnDenoiser", "sampler": "FreshNoise"},
    "policy": {"network": "OwnActionDenoiser", "lr_schedule": "Halving"},
}
TINY = {
    "classifier": ["--data.batch_size", "16"],
    "tagger": ["--data.train_size", "48", "--data.val_size", "8", "--data.batch_size", "8"],
    "gan": ["--data.batch_size", "8"],
    "ddpm": ["--data.batch_size", "8", "--model.num_samples", "3"],
    "policy": ["--data.batch_size", "16"],
}
OWN_OPTIMIZERS = {"classifier": [0], "gan": [1]}  # numbers of those that are SignSGD


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory):
    """A folder with the example's files, in which Python finds own_parts.py."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for path in EXAMPLE.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.chdir(folder)
        patch.setenv("FIRSTLIGHT_DATA", "")
        yield folder


def command(name: str, subcommand: str, *words: str):
    return train.main([subcommand, "--config", f"{name}.yaml", *TINY[name], *SHORT, *words])


def is_own(module: torch.nn.Module, name: str) -> None:
    for attribute, kind in PARTS[name].items():
        found = type(getattr(module, attribute))
        assert (found.__module__, found.__name__) == ("own_parts", kind)


@pytest.mark.parametrize("name", PARTS)
def test_a_run_with_own_parts(name):
    trained = command(name, "fit")
    is_own(trained.model, name)
    for number in OWN_OPTIMIZERS.get(name, []):
        assert type(trained.trainer.optimizers[number]).__name__ == "SignSGD"
    run = Path("runs") / name / "version_0"
    last = str(run / LAST)
    steps = torch.load(last, weights_only=True)["global_step"]
    assert steps == trained.trainer.global_step > 0

    for subcommand in ("validate", "test"):
        measured = command(name, subcommand, "--ckpt_path", last)
        is_own(measured.model, name)
        assert measured.model.state_dict().keys() == trained.model.state_dict().keys()

    loaded = load_trained(run)
    is_own(loaded, name)
    assert not loaded.training
    best = run / "checkpoints" / "best.ckpt"
    weights = torch.load(best if best.exists() else last, weights_only=True)["state_dict"]
    for key, value in loaded.state_dict().items():
        torch.testing.assert_close(value, weights[key], rtol=0, atol=0)

    resumed = command(name, "fit", "--ckpt_path", last, "--trainer.max_epochs", "2")
    is_own(resumed.model, name)
    assert torch.load(last, weights_only=True)["global_step"] == 2 * steps
    assert [folder.name for folder in Path("runs", name).iterdir() if (folder / LAST).exists()] == ["version_0"]


@pytest.mark.parametrize("name", PARTS)
def test_a_checkpoint_of_own_parts_holds_plain_values(name):
    """Nothing of own_parts.py is in it, and it opens where that file is not."""
    last = Path("runs") / name / "version_0" / LAST
    if not last.exists():
        command(name, "fit")
    code = (
        "import sys, torch\n"
        "content = torch.load(sys.argv[1], weights_only=True)\n"
        "assert 'own_parts' not in repr({k: v for k, v in content.items() if k != 'state_dict'})\n"
        "assert 'own_parts' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code, last], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_was_chosen_on_the_command_line_is_loaded_again():
    command("classifier", "fit", "--model.network.width", "7", "--run", "narrow")
    assert load_trained("runs/classifier/narrow").network.layers[1].out_features == 7
    measured = command("classifier", "test", "--ckpt_path", f"runs/classifier/narrow/{LAST}")
    assert measured.model.network.layers[1].out_features == 7


def test_an_own_sampler_draws_images():
    if not Path("runs/ddpm/version_0").exists():
        command("ddpm", "fit")
    model = load_trained("runs/ddpm/version_0")
    assert model.sample([0, 1], generator=torch.Generator().manual_seed(0)).shape == (2, 1, 28, 28)


def test_the_readmes_commands_work_in_a_process_of_their_own(tmp_path):
    words = ["--config", EXAMPLE / "classifier.yaml", *TINY["classifier"], *SHORT]
    python_path = f"{ROOT}:{EXAMPLE}"
    done = call("fit", *words, cwd=tmp_path, FIRSTLIGHT_DATA="", PYTHONPATH=python_path)
    assert done.returncode == 0, done.stderr[-3000:]
    done = call("test", *words, "--ckpt_path", "last", cwd=tmp_path, FIRSTLIGHT_DATA="", PYTHONPATH=python_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "test/accuracy" in done.stdout
