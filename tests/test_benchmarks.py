"""Benchmarks as commands: what is missing is one line at once, and nothing of the pages is written over unasked."""

import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
from huggingface_hub import constants

from benchmarks import command, pusht_rollout_gif, pusht_self_improvement, pusht_side_by_side
from envs import video


@pytest.fixture
def no_network(monkeypatch):
    """The Hub does not answer; whether the libraries ask it is put back afterwards."""

    def session():
        raise OSError("no route")

    monkeypatch.setattr(command, "get_session", session)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("FIRSTLIGHT_DEBUG", raising=False)


@pytest.mark.parametrize("error", [FileNotFoundError("no\ndata"), ValueError("no\ndata"), ImportError("no\ndata")])
def test_what_is_missing_is_one_line(no_network, error):
    def main():
        raise error

    with pytest.raises(SystemExit, match=r"^no data$"):
        command.as_command(main)


def test_a_mistake_of_ours_keeps_its_traceback(no_network):
    with pytest.raises(ZeroDivisionError):
        command.as_command(lambda: 1 / 0)


def test_without_data_and_network_a_benchmark_ends_at_once(no_network, monkeypatch, tmp_path):
    monkeypatch.delenv("FIRSTLIGHT_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["pusht_side_by_side", "--out", str(tmp_path / "video.gif")])
    monkeypatch.setattr(pusht_side_by_side, "PEOPLE", "nobody/nothing")
    with pytest.raises(SystemExit) as caught:
        command.as_command(pusht_side_by_side.main)
    assert "no data found for source 'nobody/nothing'" in caught.value.code
    assert "\n" not in caught.value.code
    assert constants.HF_HUB_OFFLINE, "the libraries would have tried again and again"


@pytest.mark.parametrize("words", [["--episodes", "-1"], ["--episodes", "1e3"], ["--size", "0"], ["--size", "100000"]])
def test_numbers_of_the_video(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pusht_side_by_side", "--out", "video.gif", *words])
    with pytest.raises(SystemExit) as caught:
        pusht_side_by_side.main()
    assert caught.value.code == 2
    assert "is not a whole number from" in capsys.readouterr().err.splitlines()[-1]


def test_the_gif_of_the_page_is_written_only_when_asked_for(monkeypatch):
    written = []
    monkeypatch.setattr(pusht_rollout_gif, "load_trained", lambda path, kind: path)
    monkeypatch.setattr(pusht_rollout_gif, "run_policy", lambda policy, seeds: policy)
    monkeypatch.setattr(video, "wall", lambda policy, **_: np.array(policy))
    monkeypatch.setattr(video, "write", lambda path, images: written.append((Path(path), str(images))))
    for words in ([], ["--policy", "mine.ckpt", "--out", "docs/pusht.gif"]):
        monkeypatch.setattr(sys, "argv", ["pusht_rollout_gif", *words])
        pusht_rollout_gif.main()
    assert written == [
        (Path("runs/pusht.gif"), "pretrained/pusht_planner"),
        (Path("docs/pusht.gif"), "mine.ckpt"),
    ]


def test_a_folder_without_a_run_is_named(no_network, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["pusht_self_improvement", str(tmp_path), "--out", str(tmp_path / "curves.png")])
    with pytest.raises(SystemExit):
        command.as_command(pusht_self_improvement.main)
    assert "holds no validation of a Push-T policy" in capsys.readouterr().err.splitlines()[-1]
