"""Folders of runs: no two runs share one, `last` is a run of this seed, model and data, a living one is left alone."""

import multiprocessing
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import train
from checkpoints import runs
from tests.families import FAMILIES
from tests.runs import ROOT, checkpoint

FORK = multiprocessing.get_context("fork")
SOFTMAX = str(ROOT / "configs/mnist_softmax.yaml")
SHORT = (
    "--trainer.callbacks [] --trainer.max_epochs 1 --trainer.limit_train_batches 2 --trainer.limit_val_batches 1 "
    "--trainer.check_val_every_n_epoch 1 --trainer.enable_model_summary false --trainer.num_sanity_val_steps 0"
)
TINY = [*FAMILIES["mnist_softmax"].words(), *SHORT.split()]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_DATA", "")


def optimizer(weight_decay: float) -> dict:
    return {"class_path": "torch.optim.AdamW", "init_args": {"weight_decay": weight_decay}}


def fit(*words: str, config: str = SOFTMAX):
    return train.main(["fit", "--config", config, *TINY, *words])


def together(target, count: int, *arguments) -> list:
    """What so many processes return that call `target(*arguments)` at the same moment."""
    barrier, queue = FORK.Barrier(count), FORK.SimpleQueue()

    def call() -> None:
        barrier.wait()
        queue.put(str(target(*arguments)))

    processes = [FORK.Process(target=call) for _ in range(count)]
    for process in processes:
        process.start()
    found = [queue.get() for _ in processes]
    for process in processes:
        process.join()
    return found


def test_processes_that_start_together_get_folders_of_their_own():
    found = sorted(name for _ in range(5) for name in together(runs.claim, 8, Path("runs/mine")))
    assert found == sorted(f"runs/mine/version_{number}" for number in range(40))


def _folder(seed: int) -> Path:
    torch.set_num_threads(1)
    return fit("--seed_everything", str(seed)).trainer.log_dir


def test_runs_that_start_together_write_one_log_and_one_checkpoint_each():
    folders = together(_folder, 2, 0)
    assert sorted(folders) == ["runs/mnist_softmax/version_0", "runs/mnist_softmax/version_1"]
    for folder in map(Path, folders):
        assert len(list(folder.glob("events*"))) == 1
        assert (folder / runs.LAST).exists()


def test_a_taken_name_and_one_that_is_no_folders_are_refused():
    assert runs.claim(Path("runs"), "mine") == Path("runs/mine")
    with pytest.raises(ValueError, match="there is a run runs/mine already"):
        runs.claim(Path("runs"), "mine")
    assert runs.claim(Path("runs"), "mine", again=True) == Path("runs/mine")
    for name in ("", ".", "..", "../up", "a/b", ".hidden"):
        with pytest.raises(ValueError, match="must be a folder's name"):
            runs.claim(Path("runs"), name)


def _hold(run: Path, ready) -> None:
    with runs.held(run):
        ready.set()
        FORK.Event().wait()


def test_a_run_that_a_living_process_writes_is_refused_and_a_dead_ones_is_not(capsys):
    fit()
    run, ready = Path("runs/mnist_softmax/version_0"), FORK.Event()
    before = (run / runs.LAST).read_bytes()
    other = FORK.Process(target=_hold, args=(run, ready))
    other.start()
    ready.wait()
    for path in ("last", str(run / runs.LAST)):
        with pytest.raises(ValueError, match="another process is training in runs/mnist_softmax/version_0"):
            fit("--ckpt_path", path, "--trainer.max_epochs", "2")
    assert (run / runs.LAST).read_bytes() == before
    other.kill()
    other.join()
    fit("--ckpt_path", "last", "--trainer.max_epochs", "2")
    assert checkpoint(run)["epoch"] == 1


def test_a_mistake_leaves_no_folder():
    with pytest.raises(Exception, match="devices"):
        fit("--trainer.devices", "0")
    assert not list(Path("runs/mnist_softmax").iterdir())


def test_last_is_of_the_same_seed_model_and_data(capsys):
    """Two seeds, another learning rate, and a config of the same name in another folder: each its own run."""
    other = Path("other/mnist_softmax.yaml")
    other.parent.mkdir()
    content = yaml.safe_load(Path(SOFTMAX).read_text())
    content["model"]["init_args"]["optimizer"] = optimizer(0.125)
    other.write_text(yaml.safe_dump(content))
    kinds = [[], ["--seed_everything", "1"], ["--model.lr", "0.5"]]
    for words in kinds:
        fit(*words, "--ckpt_path", "last")
    fit("--ckpt_path", "last", config=str(other))
    said = capsys.readouterr().err
    assert "runs/mnist_softmax holds no last.ckpt" in said
    assert "seed_everything is 0 in runs/mnist_softmax/version_0, here 1" in said
    assert "model.lr is 0.001 in runs/mnist_softmax/version_0, here 0.5" in said
    assert "model.optimizer.weight_decay is 0.0 in runs/mnist_softmax/version_0, here 0.125" in said
    for words in kinds:
        fit(*words, "--ckpt_path", "last", "--trainer.max_epochs", "2", "--trainer.logger", "false")
    fit("--ckpt_path", "last", "--trainer.max_epochs", "2", config=str(other))
    assert [checkpoint(Path(f"runs/mnist_softmax/version_{number}"))["epoch"] for number in range(4)] == [1] * 4
    assert len(list(Path("runs/mnist_softmax").iterdir())) == 4


def test_a_named_run_is_gone_on_with_by_its_name_and_found_by_a_test():
    fit("--run", "mine", "--ckpt_path", "last")
    fit("--run", "mine", "--ckpt_path", "last", "--trainer.max_epochs", "2")
    assert checkpoint(Path("runs/mnist_softmax/mine"))["epoch"] == 1
    assert yaml.safe_load(Path("runs/mnist_softmax/mine/config.yaml").read_text())["run"] is None
    with pytest.raises(ValueError, match=r"model.lr is 0.001 in runs/mnist_softmax/mine, here 0.5"):
        fit("--run", "mine", "--ckpt_path", "last", "--model.lr", "0.5")
    with pytest.raises(ValueError, match="give another --run"):
        fit("--run", "mine")
    tested = train.main(["test", "--config", "runs/mnist_softmax/mine/config.yaml", "--ckpt_path", "last"])
    assert Path(tested.trainer.log_dir) == Path("runs/mnist_softmax/version_0")


def test_runs_go_under_a_given_root_whatever_logs_them():
    logger = ["--trainer.logger", "lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir", "logs"]
    for number, words in enumerate([[], logger, ["--trainer.logger", "false"]]):
        fit("--trainer.default_root_dir", "elsewhere", *words)
        run = Path(f"elsewhere/mnist_softmax/version_{number}")
        assert (run / "config.yaml").exists()
        assert {path.name for path in (run / "checkpoints").iterdir()} >= {"last.ckpt"}
    assert {path.name for path in Path().iterdir()} == {"elsewhere", "logs"}


def test_the_command_line_wins_over_a_checkpoint_and_a_config_does_not(capsys):
    """The run's config.yaml says what its checkpoints are of."""
    fit("--model.optimizer.weight_decay", "0.25")
    run, last = Path("runs/mnist_softmax/version_0"), "runs/mnist_softmax/version_0/checkpoints/last.ckpt"
    shutil.copytree(run, "first")
    resumed = fit(
        "--ckpt_path", last, "--model.lr", "0.5", "--trainer.max_epochs", "2", "--trainer.limit_train_batches=2"
    )
    said = capsys.readouterr().err
    assert f"model.lr is 0.5, as the command line says, where {last} has 0.001" in said
    assert f"of {last}, not of the config: model.optimizer.weight_decay is 0.25 there, here 0.0" in said
    assert resumed.model.hparams.lr == 0.5
    assert resumed.trainer.optimizers[0].param_groups[0]["weight_decay"] == 0.25
    other = str(Path("first", runs.LAST))
    whole = fit("--ckpt_path", other, "--trainer.max_epochs", "2", "--trainer.limit_train_batches=2")
    for ours, theirs in zip(resumed.trainer.optimizers, whole.trainer.optimizers, strict=True):
        for given, kept in zip(ours.param_groups, theirs.param_groups, strict=True):
            assert given["initial_lr"] == 0.5
            assert kept["initial_lr"] == 0.001
            assert given["weight_decay"] == kept["weight_decay"]
    assert set(resumed.trainer.lr_scheduler_configs[0].scheduler.base_lrs) == {0.5}
    assert not (resumed.model.network.head.weight == whole.model.network.head.weight).all()


def test_a_checkpoint_without_its_config_leaves_the_given_config_in_place(capsys):
    fit("--model.lr", "0.25")
    shutil.copy("runs/mnist_softmax/version_0/checkpoints/last.ckpt", "alone.ckpt")
    for words, here in [([], 0.001), (["--model.lr", "0.5"], 0.5)]:
        tested = train.main(["test", "--config", SOFTMAX, *TINY, *words, "--ckpt_path", "alone.ckpt"])
        assert tested.model.hparams.lr == here
        said = capsys.readouterr().err
        assert "alone.ckpt has no config.yaml of its run beside it, so the given config holds: " in said
        assert f"model.lr is 0.25 in the checkpoint, here {here}" in said
    with pytest.raises(ValueError, match="the checkpoint is of another model"):
        train.main(["test", "--config", SOFTMAX, *TINY, "--model.hidden", "[8]", "--ckpt_path", "alone.ckpt"])


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--model.hidden", "[8]"], "without options that change a weight's shape"),
        (["--model.mean", "[0.5]", "--model.std", "[0.5]"], "--model.(mean|std) cannot be changed beside"),
    ],
)
def test_an_option_that_a_checkpoint_cannot_follow_is_refused(words, answer):
    fit()
    with pytest.raises(ValueError, match=answer):
        fit("--ckpt_path", "runs/mnist_softmax/version_0/checkpoints/last.ckpt", "--trainer.max_epochs", "2", *words)


def test_objects_within_a_model_are_compared_argument_by_argument():
    def config(width, **more):
        inner = {"class_path": "Net", "init_args": {"width": width, **more}}
        return {"model": {"class_path": "M", "init_args": {"net": inner, "options": {"a": width}}}}

    assert runs.differences(config(1), config(2)) == {"model.net.width": (1, 2), "model.options": ({"a": 1}, {"a": 2})}
    assert not runs.differences(config(1, old=1), config(1, new=2))
    other = {"model": {"class_path": "Other", "init_args": {}}}
    assert runs.differences(config(1), other) == {"model.class_path": ("M", "Other")}
