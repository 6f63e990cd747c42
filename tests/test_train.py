"""The command line as a user meets it, in a process of its own where it ends one."""

import contextlib
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from PIL import Image

import train
from checkpoints.load_trained import load_trained
from tests.families import FAMILIES

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
OVERLAYS = sorted((ROOT / "configs" / "with").glob("*.yaml"))
TINY = {
    "model.init_args.network": "{class_path: networks.chunk_mlp.ChunkMLP, init_args: "
    "{width: 16, depth: 1, encoder_width: 16, encoder_depth: 1}}",
    "data.init_args.batch_size": "16",
    "trainer.max_steps": "4",
    "trainer.check_val_every_n_epoch": "null",
    "trainer.val_check_interval": "2",
    "trainer.limit_val_batches": "1",
}

PIG_LATIN, MNIST = (
    ["predict", "--config", folder / "config.yaml", "--ckpt_path", folder / "model.safetensors"]
    for folder in (ROOT / "pretrained/pig_latin_encoder_decoder", ROOT / "pretrained/mnist_mlp")
)


def call(*args, cwd=ROOT, **environment):
    import os

    return subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "train.py"), *map(str, args)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"} | environment,
    )


@pytest.fixture
def run_here(tmp_path, monkeypatch):
    """The same within this process, which saves its start, in the test's own folder and without any data set."""

    def run(*args) -> None:
        with contextlib.chdir(tmp_path):
            train.main([*map(str, args)])

    monkeypatch.setenv("FIRSTLIGHT_DATA", "")
    return run


def with_small_rollouts(tmp_path) -> Path:
    """configs/pusht.yaml with two rollouts of one wave instead of hundreds."""
    config = yaml.safe_load((ROOT / "configs/pusht.yaml").read_text())
    for callback in config["trainer"]["callbacks"]:
        if callback["class_path"].endswith("Rollouts"):
            callback["init_args"] = {"val_episodes": 2, "test_episodes": 2, "video_episodes": 1}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A folder in which `train.py fit` ran to its end."""
    folder = tmp_path_factory.mktemp("run")
    config = with_small_rollouts(folder)
    done = call("fit", "--config", config, *(f"--{key}={value}" for key, value in TINY.items()), cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_alone_it_explains_itself_and_lists_the_configs(capsys):
    train.main([])
    said = capsys.readouterr().out
    for path in [*CONFIGS, *OVERLAYS]:
        assert path.relative_to(ROOT).as_posix() in said
        assert path.read_text().splitlines()[0].lstrip("# ") in said


def test_it_tells_its_version(capsys):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    train.main(["--version"])
    said = f"firstlight {project['version']}, torch {torch.__version__}, lightning {L.__version__}\n"
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("fitt", ValueError),
        ("fit --config nothing.yaml", OSError),
        ("fit --config configs/mnist_mlp.yaml --model.lrr 1", ValueError),
        ("fit --config configs/mnist_mlp.yaml --model.lr fast", ValueError),
        ("fit --config configs/mnist_mlp.yaml --model.lr_schedule.warmup fast", ValueError),
        ("fit --config configs/mnist_mlp.yaml --trainer.devices 0", MisconfigurationException),
        ("test --config configs/mnist_mlp.yaml --ckpt_path nothing.ckpt", OSError),
    ],
)
def test_a_mistake_raises_in_python(words, kind, tmp_path, monkeypatch):
    """A study that tries many settings goes on after one that is none: no SystemExit."""
    monkeypatch.chdir(tmp_path)
    words = [str(ROOT / word) if word.startswith("configs/") else word for word in words.split()]
    with pytest.raises(kind) as caught:
        train.main(words)
    assert "\n" not in str(caught.value).strip()


def test_an_overlay_that_leaves_out_callbacks_is_named(tmp_path, monkeypatch, capsys):
    """`callbacks+:` adds to those of the config before it."""
    monkeypatch.chdir(tmp_path)
    before = ["EMAWeightAveraging", "Rollouts", "ActionPredictionWriter"]
    for name, key in [("drops", "callbacks"), ("adds", "callbacks+")]:
        callback = {"class_path": "callbacks.class_prediction_writer.ClassPredictionWriter"}
        Path(f"{name}.yaml").write_text(yaml.safe_dump({"trainer": {key: [callback]}}))
        files = ["--config", str(ROOT / "configs/pusht.yaml"), "--config", f"{name}.yaml"]
        with contextlib.suppress(SystemExit):
            train.main(["fit", *files, "--print_config"])
        said = capsys.readouterr()
        kept = [one["class_path"].rpartition(".")[2] for one in yaml.safe_load(said.out)["trainer"]["callbacks"]]
        if name == "drops":
            assert kept == ["ClassPredictionWriter"]
            assert f"drops.yaml leaves out {', '.join(before)} of the config before it; callbacks+:" in said.err
        else:
            assert kept == [*before, "ClassPredictionWriter"]
            assert not said.err


def test_it_runs_as_a_task_of_slurm(tmp_path, monkeypatch):
    """With the variables that srun sets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_DATA", "")
    for name, value in {"NTASKS": 1, "PROCID": 0, "LOCALID": 0, "NODEID": 0, "JOB_ID": 1234, "JOB_NAME": "x"}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    words = "--data.source fonts --trainer.callbacks [] --trainer.max_steps 1 --trainer.limit_val_batches 0"
    slurm = ["--trainer.plugins", "lightning.pytorch.plugins.environments.SLURMEnvironment"]
    train.main(["fit", "--config", str(ROOT / "configs/mnist_softmax.yaml"), *words.split(), *slurm])
    assert list(tmp_path.rglob("last.ckpt"))


@pytest.mark.slow
def test_two_spawned_processes_train_to_the_end(tmp_path):
    words = "--data.source fonts --trainer.callbacks [] --trainer.max_steps 2 --trainer.limit_val_batches 1"
    spawn = "--trainer.strategy ddp_spawn --trainer.devices 2 --trainer.accelerator cpu"
    config = ["--config", ROOT / "configs/mnist_softmax.yaml"]
    done = call("fit", *config, *words.split(), *spawn.split(), cwd=tmp_path, FIRSTLIGHT_DATA="")
    assert done.returncode == 0, done.stderr[-3000:]
    (checkpoint,) = tmp_path.rglob("last.ckpt")
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 2


def fits(overlay: Path | None, config: Path) -> bool:
    """Whether an overlay is for a config: own demonstrations are for policies, for example."""
    kinds: dict[str, str | tuple[str, ...]] = {
        "own.yaml": "pusht",
        "gpu_ddpm.yaml": "cifar10_ddpm",
        "long_lists.yaml": "sorting_decoder",
        "few_steps.yaml": ("mnist_ddpm", "cifar10_ddpm"),
        "flow.yaml": ("mnist_ddpm", "cifar10_ddpm", "pusht"),
    }
    return overlay is None or config.name.startswith(kinds.get(overlay.name, ""))


@pytest.mark.parametrize(
    ("path", "overlay"),
    [(config, overlay) for overlay in [None, *OVERLAYS] for config in CONFIGS if fits(overlay, config)],
    ids=lambda path: path.name if path else "alone",
)
def test_every_config_parses(path, overlay, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    args = ["fit", "--config", str(path), *(["--config", str(overlay)] if overlay else []), "--print_config"]
    with pytest.raises(SystemExit) as caught:
        train.main(args)
    assert caught.value.code in (0, None)
    assert yaml.safe_load(capsys.readouterr().out)["model"]["class_path"]


@pytest.mark.parametrize("path", [*CONFIGS, *OVERLAYS], ids=lambda path: path.name)
def test_every_header_has_command_minutes_figure(path):
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert len(header[0]) > 10
    command = next(line for line in header if re.match(r"#\s+command\s", line))
    assert path.relative_to(ROOT).as_posix() in command
    assert any(re.match(r"#\s+minutes\s+\S", line) for line in header)
    assert any(re.match(r"#\s+figure\s+\S", line) for line in header)
    assert "PENDING" not in path.read_text()


def test_a_run_leaves_what_it_should(finished_run):
    folder = finished_run / "runs" / "small" / "version_0"
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["max_steps"] == 4
    assert list(folder.glob("videos/val/rollouts/*.mp4"))
    assert list(folder.glob("events.out.tfevents.*"))


def test_a_checkpoint_opens_in_a_new_process_without_the_cli(finished_run):
    checkpoint = finished_run / "runs" / "small" / "version_0" / "checkpoints" / "last.ckpt"
    code = (
        "import torch\n"
        "from checkpoints.load_trained import load_trained\n"
        f"policy = load_trained({str(checkpoint)!r})\n"
        "print(tuple(policy.act(torch.rand(3, 2, 18) * 512).shape))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "(3, 16, 2)", done.stderr


def test_checkpoints_hold_the_averaged_weights(finished_run):
    checkpoint = torch.load(
        finished_run / "runs/small/version_0/checkpoints/last.ckpt", map_location="cpu", weights_only=True
    )
    name = "network.head.weight"
    assert not torch.equal(checkpoint["state_dict"][name], checkpoint["current_model_state"][name])
    policy = load_trained(finished_run / "runs/small/version_0/checkpoints/last.ckpt")
    assert torch.equal(policy.network.head.weight, checkpoint["state_dict"][name])


@pytest.mark.parametrize("subcommand", ["validate", "predict"])
def test_other_subcommands_take_a_checkpoint(finished_run, subcommand, run_here):
    run = finished_run / "runs" / "small" / "version_0"
    run_here(subcommand, "--config", finished_run / "small.yaml", "--ckpt_path", run / "checkpoints/last.ckpt")


def test_two_processes_train_and_roll_out(finished_run, tmp_path):
    options = [f"--{key}={value}" for key, value in TINY.items()]
    overlay = ROOT / "configs/with/ddp.yaml"
    done = call("fit", "--config", finished_run / "small.yaml", "--config", overlay, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    checkpoint = tmp_path / "runs/small/version_0/checkpoints/last.ckpt"
    assert torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"] == 4


SAME_MODEL = {"svhn_classifier": "cifar10_resnet", "cifar10_ddpm": "mnist_ddpm"}  # as a config of `FAMILIES`
QUICK = ("mnist_mlp", "svhn_gan", "mnist_ddpm", "sorting_encoder", "pig_latin_encoder_decoder")
TRAINED = [config for config in (*FAMILIES, *SAME_MODEL) if config != "pusht"]  # which `finished_run` trains


@pytest.mark.parametrize(
    "config", [pytest.param(config, marks=[] if config in QUICK else pytest.mark.slow) for config in TRAINED]
)
def test_every_family_trains_fast_and_answers(config, run_here, tmp_path, capsys):
    """With nothing but what ships: fit a tiny model with the fast overlay, then predict from what it left."""
    words = FAMILIES[SAME_MODEL.get(config, config)].words(quiet=False)
    given = ["--config", ROOT / f"configs/{config}.yaml", *words]
    if config.endswith(("gan", "ddpm")):
        given += ["--model.num_samples", "4"]
    run_here("fit", *given, "--config", ROOT / "configs/with/fast.yaml")
    capsys.readouterr()
    checkpoint = tmp_path / f"runs/{config}/version_0/checkpoints/last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 50
    questions = {
        "sorting": ["--data.numbers", "[5, 3, 9]"],
        "pig_latin": ["--data.text", "the quick brown fox"],
        "text": ["--data.prompt", "The with statement"],
    }
    asked = next((words for family, words in questions.items() if config.startswith(family)), [])
    run_here("predict", *given, *asked, "--ckpt_path", checkpoint)
    said = capsys.readouterr().out
    for family, question in [("sorting", "5 3 9 -> "), ("pig_latin", "the quick brown fox -> ")]:
        assert (question in said) == config.startswith(family)


@pytest.mark.parametrize("name", ["mnist_ddpm", "svhn_gan"])
def test_shipped_weights_draw_without_data_as_many_images_as_asked(name, run_here, tmp_path):
    folder = ROOT / "pretrained" / name
    given = ["--config", folder / "config.yaml", "--ckpt_path", folder / "model.safetensors"]
    given += ["--trainer.precision", "32-true", "--model.num_samples", "3"]
    run_here("predict", *given)
    files = sorted(path.name for path in tmp_path.glob("runs/*/*/drawn/*.png"))
    assert files == ["00000-0.png", "00001-1.png", "00002-2.png", "grid.png"]
    with pytest.raises(ValueError, match=r"draws images and reads none: leave out --data\.images"):
        run_here("predict", *given, "--data.images", tmp_path)


def test_a_line_is_translated_without_the_corpus_and_with_any_quotes(run_here, capsys):
    run_here(*PIG_LATIN, "--data.source", "none.txt", "--data.words", "none.txt", "--data.text", "“Don’t go”")
    assert '"Don\'t go" -> "On\'tday ogay"' in capsys.readouterr().out


@pytest.mark.slow
def test_two_processes_share_a_batch_of_images(tmp_path):
    """4 steps of 2 x 32 images; the processes see different halves of the training set."""
    options = ["--data.source", "fonts", "--data.batch_size", "32", "--trainer.max_steps", "4"]
    files = ["--config", ROOT / "configs/cifar10_fast.yaml", "--config", ROOT / "configs/with/ddp.yaml"]
    done = call("fit", *files, *options, cwd=tmp_path, FIRSTLIGHT_DATA="")
    assert done.returncode == 0, done.stderr[-3000:]
    checkpoint = torch.load(tmp_path / "runs/cifar10_fast/version_0/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 4


def test_predict_writes_a_table_of_the_users_images(run_here, tmp_path, capsys):
    """What is read, what is left out, and where the table lies."""
    (tmp_path / "mine").mkdir()
    Image.new("RGB", (300, 200), (90, 120, 250)).save(tmp_path / "mine/sky.jpg")
    (tmp_path / "mine/torn.png").write_bytes(b"no image")
    run_here(*MNIST, "--data.images", "mine")
    assert "left out mine/torn.png" in capsys.readouterr().err
    (table,) = tmp_path.glob("runs/**/predictions.csv")
    header, row = table.read_text().splitlines()
    assert header == "file,class,probability"
    assert row.startswith("sky.jpg,")


def test_test_prints_a_table_with_all_three_metrics(finished_run, run_here, capsys):
    run = finished_run / "runs" / "small" / "version_0"
    run_here("test", "--config", run / "config.yaml", "--ckpt_path", run / "checkpoints/best.ckpt")
    said = capsys.readouterr().out
    for metric in ("score", "success_rate", "mean_final_coverage"):
        assert metric in said
    assert "2 episodes" in said


def test_resume_goes_on_where_it_stopped(finished_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    checkpoint = run / "runs/small/version_0/checkpoints/last.ckpt"
    options = TINY | {"trainer.max_steps": "6", "ckpt_path": str(checkpoint)}
    with contextlib.chdir(run):
        train.main(["fit", "--config", "small.yaml", *(f"--{k}={v}" for k, v in options.items())])
    resumed = torch.load(checkpoint, map_location="cpu", weights_only=True)
    assert resumed["global_step"] == 6
    assert [folder.name for folder in (run / "runs/small").iterdir()] == ["version_0"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back at once")
def test_the_memory_of_freed_tensors_is_kept():
    """Page faults of a tensor of 40 MB after others: one for every 4 kB where the system takes memory back.

    The C library places the first ones anew, a dozen or so, until a hole is left that holds one at any alignment.
    """
    script = (
        "import resource, statistics, sys, torch\n"
        "from cli.freed_memory import keep_freed_memory\n"
        "if sys.argv[1] == 'kept': keep_freed_memory()\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    torch.ones(10_000_000)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "print(statistics.median(faults() for _ in range(101)))"
    )

    def faults(how: str) -> int:
        return int(subprocess.check_output([sys.executable, "-c", script, how], cwd=ROOT, text=True))

    assert faults("kept") < 10
    assert faults("usual") > 100


def test_a_mistake_is_answered_in_one_line():
    """As the process ends; `tests/test_bad_input.py` has the mistakes."""
    done = call("fit", "--config", "configs/pusht.yaml", "--model.horizn", "8")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("train.py: ")
    assert "did you mean 'horizon'" in last
