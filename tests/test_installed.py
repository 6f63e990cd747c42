"""What `pip install .` gives works in a folder with nothing of the clone in it."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
LEFT_OUT = (".*", "runs", "docs", "benchmarks", "examples", "build", "*.egg-info", "__pycache__", "predictions")
OWN_OPTIMIZER = "import torch\n\n\nclass Own(torch.optim.SGD):\n    pass\n"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory) -> Path:
    """The commands of a fresh environment: Firstlight's wheel, and beside it this environment's packages, but not its
    own Firstlight."""
    pytest.importorskip("setuptools", minversion="77")
    place = tmp_path_factory.mktemp("installed")
    source = Path(shutil.copytree(ROOT, place / "source", ignore=shutil.ignore_patterns(*LEFT_OUT)))
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(place), str(source)], check=True)
    (wheel,) = place.glob("firstlight-*.whl")
    assert wheel.stat().st_size < 80e6
    shutil.rmtree(source)
    venv.create(place / "venv", with_pip=False)
    (packages,) = place.glob("venv/lib/python*/site-packages")
    # A folder that a .pth file names is not searched for further .pth files, such as those of editable projects.
    (packages / "others.pth").write_text(f"{Path(torch.__file__).parent.parent}\n")
    python = place / "venv/bin/python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed"]
    subprocess.run([*install, str(wheel)], check=True)
    return python.parent


@pytest.fixture
def run(bin_folder, tmp_path):
    """Runs a command of that environment in an empty folder."""

    def command(name: str, *words: str, code: int = 0) -> subprocess.CompletedProcess:
        env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "FIRSTLIGHT_DATA")}
        env |= {"HF_HUB_OFFLINE": "1", "FIRSTLIGHT_CACHE": str(tmp_path / "cache")}
        done = subprocess.run([bin_folder / name, *words], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return command


SCRIPT = """
import sys

import firstlight
import gymnasium

from envs.action_chunking import ActionChunking  # Firstlight's

policy = firstlight.load_pretrained("pusht_planner")
env = gymnasium.make("firstlight/PushT-v0", observation=policy.observation)
env = ActionChunking(env, policy.hparams.n_action_steps, policy.hparams.n_obs_steps)
observation, _ = env.reset(seed=0)
assert policy.act(observation).shape == (policy.hparams.horizon, 2)

import networks.own  # the user's
import networks.mlp  # Firstlight's

assert networks.own.Own.__module__ == "networks.own"

import train

fonts = ["--config", "mnist_mlp", "--data.source", "fonts"]
train.main(["fit", *fonts, "--trainer.max_steps", "2", "--run", "own", "--model.optimizer", "networks.own.Own"])
train.main(["publish", "runs/mnist_mlp/own", "--to", "shared"])
firstlight.load_pretrained("shared", trust_remote_config=True)  # networks.own is imported
"""


def users_own(folder: Path) -> None:
    """Packages of Firstlight's names that would break whatever takes them for Firstlight's."""
    for name in ("envs", "networks", "optim", "cli", "callbacks"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise AssertionError('in place of Firstlight')\n")
        (folder / name / "own.py").write_text(OWN_OPTIMIZER)
    (folder / "train.py").write_text("raise AssertionError('in place of Firstlight')\n")
    (folder / "mine.py").write_text(OWN_OPTIMIZER)


def test_in_an_empty_folder(run, tmp_path):
    run("firstlight", "fit", "--config", "mnist_mlp", "--data.source", "fonts", "--trainer.max_steps", "5")
    assert (tmp_path / "runs/mnist_mlp/version_0/checkpoints/last.ckpt").is_file()
    few = ["--trainer.callbacks", "callbacks.rollouts.Rollouts", "--trainer.callbacks.test_episodes", "3"]
    few += ["--trainer.callbacks.video_episodes", "0", "--trainer.limit_test_batches", "1"]
    done = run("firstlight", "test", "--config", "pusht", "--ckpt_path", "pretrained/pusht/model.safetensors", *few)
    assert "test/score" in done.stdout


def test_beside_packages_of_the_same_names(run, tmp_path):
    users_own(tmp_path)
    for optimizer in ("mine.Own", "optim.own.Own"):
        fonts = ["--config", "mnist_mlp", "--data.source", "fonts"]
        run("firstlight", "fit", *fonts, "--trainer.max_steps", "2", "--model.optimizer", optimizer)
    (tmp_path / "script.py").write_text(SCRIPT)
    run("python", "script.py")


def test_what_it_says(run):
    assert "configs/mnist_mlp.yaml" in run("firstlight").stdout
    assert run("firstlight", "--version").stdout.startswith("firstlight 0.")
    assert "there is no config nothing" in run("firstlight", "fit", "--config", "nothing", code=2).stderr
    done = run("firstlight", "publish", "nothing", "--to", "other", code=2)
    assert done.stderr.startswith("train.py: there are no weights nothing; ")
