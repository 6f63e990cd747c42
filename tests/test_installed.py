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


def users_own(folder: Path) -> None:
    """Packages of Firstlight's names, which do not import without Firstlight's."""
    for name in ("envs", "networks", "optim", "cli", "callbacks"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise AssertionError('in place of Firstlight')\n")
        (folder / name / "own.py").write_text(OWN_OPTIMIZER)
    (folder / "train.py").write_text("raise AssertionError('in place of Firstlight')\n")
    (folder / "mine.py").write_text(OWN_OPTIMIZER)


def test_it_says_what_there_is(run):
    assert "configs/mnist_mlp.yaml" in run("firstlight").stdout
    assert run("firstlight", "--version").stdout.startswith("firstlight 0.")
    assert "there is no config nothing" in run("firstlight", "fit", "--config", "nothing", code=2).stderr


@pytest.mark.parametrize("own", [False, True])
def test_training_and_testing(run, tmp_path, own):
    if own:
        users_own(tmp_path)
    fonts = ["--config", "mnist_mlp", "--data.source", "fonts"]
    optimizers = ["mine.Own", "networks.own.Own"] if own else ["torch.optim.SGD"]
    for number, optimizer in enumerate(optimizers):
        run("firstlight", "fit", *fonts, "--trainer.max_steps", "5", "--model.optimizer", optimizer)
        trained = tmp_path / f"runs/mnist_mlp/version_{number}"
        assert f"class_path: {optimizer}" in (trained / "config.yaml").read_text()
        assert (trained / "checkpoints/last.ckpt").is_file()
    assert "test/accuracy" in run("firstlight", "test", *fonts, "--ckpt_path", str(trained)).stdout
    few = ["--trainer.callbacks", "callbacks.rollouts.Rollouts", "--trainer.callbacks.test_episodes", "3"]
    few += ["--trainer.callbacks.video_episodes", "0", "--trainer.limit_test_batches", "1"]
    assert "test/score" in run("firstlight", "test", "--config", "pusht", "--ckpt_path", "pusht", *few).stdout
    shipped = ["--config", "pretrained/pusht/config.yaml", "--ckpt_path", "pretrained/pusht/model.safetensors"]
    assert "test/score" in run("firstlight", "test", *shipped, *few).stdout


@pytest.mark.parametrize("own", [False, True])
def test_from_python(run, tmp_path, own):
    if own:
        users_own(tmp_path)
    (tmp_path / "script.py").write_text(
        "import firstlight, gymnasium\n"
        "from envs.action_chunking import ActionChunking\n"
        "policy = firstlight.load_pretrained('pusht_planner')\n"
        "env = gymnasium.make('firstlight/PushT-v0', observation=policy.observation)\n"
        "observation, _ = env.reset(seed=0)\n"
        "print(type(policy).__name__, env.step(env.action_space.sample())[1] >= 0)\n"
        + ("import networks.own, networks.mlp, mine\nprint(networks.own.Own.__module__)\n" if own else "")
    )
    said = run("python", "script.py").stdout.splitlines()
    assert said == ["DiffusionPolicy True", *(["networks.own"] if own else [])]


def test_publishing_and_one_line_mistakes(run):
    run("firstlight", "publish", "mnist_mlp", "--to", "shared")
    run("python", "-c", "import firstlight; print(firstlight.load_pretrained('shared'))")
    done = run("firstlight", "publish", "nothing", "--to", "other", code=2)
    assert done.stderr.startswith("train.py: there are no weights nothing; ")
    words = ["fit", "--config", "mnist_mlp", "--data.source", "fonts", "--init_from", "nobody/nothing"]
    done = run("firstlight", *words, code=2)
    assert done.stderr.splitlines()[-1].startswith(
        "train.py: nobody/nothing is not on this machine, and the Hub cannot"
    )
