import shlex
from pathlib import Path

import pytest

import train
from cli.next_steps import SHOWN, to_look_at
from tests.cli.runs import RUN, toy


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def last_lines(capsys) -> dict[str, str]:
    said = {line[:8].strip(): line[8:] for line in capsys.readouterr().err.splitlines()}
    return {name: said[name] for name in ("run", "best", "curves", "next") if name in said}


def test_a_training_says_where_it_is_and_its_next_command_runs(capsys):
    toy("fit")
    said = last_lines(capsys)
    assert said["run"] == str(RUN)
    assert said["best"].startswith(f"{RUN}/checkpoints/best.ckpt, val/loss ")
    assert said["curves"] == "tensorboard --logdir runs"
    words = shlex.split(said["next"])
    assert words[:3] == ["python", "train.py", "test"]
    train.main(words[2:])
    said = last_lines(capsys)
    assert said["run"] == str(RUN.with_name("version_1"))
    assert said["next"].startswith("python train.py predict --config")


def test_without_a_logger_no_curves_are_promised_and_a_development_run_says_nothing(capsys):
    toy("fit", "--trainer.logger", "false", "--checkpoint.monitor", "null")
    said = last_lines(capsys)
    assert "curves" not in said
    assert "best" not in said
    assert said["next"].endswith("last.ckpt")
    toy("fit", "--trainer.fast_dev_run", "true")
    assert not last_lines(capsys)


def test_a_table_in_place_of_lightnings(capsys):
    toy("fit")
    checkpoint = str(RUN / "checkpoints/last.ckpt")
    for subcommand, stage in (("validate", "val"), ("test", "test")):
        capsys.readouterr()
        toy(subcommand, "--ckpt_path", checkpoint)
        assert capsys.readouterr().out.count(f"{stage}/loss") == 1
        toy(subcommand, "--ckpt_path", checkpoint, "--verbose", "false")
        assert not capsys.readouterr().out


def test_the_newest_file_of_every_kind_is_named(tmp_path):
    assert to_look_at(tmp_path) == []
    names = ["images/val/confusion/0000001.png", "images/val/confusion/0000010.png", "images/samples/0000010.png"]
    names += ["videos/val/rollouts/0000010.mp4", "text/val/samples/0000010.md", "predictions.csv", "drawn/grid.png"]
    names += ["checkpoints/last.ckpt", "drawn/00000-1.png"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    shown = [path.relative_to(tmp_path).as_posix() for path in to_look_at(tmp_path)]
    assert shown == [
        "predictions.csv",
        "drawn/grid.png",
        "videos/val/rollouts/0000010.mp4",
        "images/samples/0000010.png",
        "images/val/confusion/0000010.png",
        "text/val/samples/0000010.md",
    ]
    Path(tmp_path, "images/val/filters").mkdir()
    Path(tmp_path, "images/val/filters/0000010.png").touch()
    assert len(to_look_at(tmp_path)) == SHOWN
