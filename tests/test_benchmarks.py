"""Benchmarks as commands: what is missing is one line at once, and nothing of the pages is written over unasked."""

import sys
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
from huggingface_hub import constants

from benchmarks import (
    command,
    pusht_disturbances,
    pusht_rollout_gif,
    pusht_self_improvement,
    pusht_side_by_side,
    step_clock,
    step_time,
)
from datamodules.images import ImageSet
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


def test_a_step_takes_turns_and_its_ratios_are_of_one_round():
    calls = []

    def contestant(name, seconds, weights):
        times = iter(seconds)

        def run():
            calls.append(name)
            return step_time.Run(next(times), 1.0, weights)

        return run

    contestants = {"A": contestant("A", [1.0, 2.0, 4.0], "a"), "B": contestant("B", [1.1, 2.0, 5.0], "b")}
    runs = step_time.race(contestants, 3, advance=lambda: None)
    assert "".join(calls) == "ABBAAB"
    assert step_time.cells(runs["B"], runs["A"], step_time.overhead) == [
        "2000.0",
        "2000.0",
        "+10.0\n+0.0 to +25.0",
        "+0.0\n+0.0 to +0.0",
        "no",
    ]
    assert step_time.cells(runs["A"], runs["A"], str)[-1] == "yes"


def test_another_checkout_is_one(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["step_time", "--against", str(tmp_path)])
    with pytest.raises(SystemExit):
        step_time.main()
    assert "holds no train.py" in capsys.readouterr().err.splitlines()[-1]


def test_a_run_that_fails_says_why(tmp_path):
    (tmp_path / "train.py").write_text("raise SystemExit('no such config')")
    with pytest.raises(ValueError, match=r"ended before its last step: no such config"):
        step_time.timed(tmp_path, "pusht", "step_clock.StepClock", (), steps=1, warm_up=1)


def test_images_are_repeated_where_an_epoch_needs_more():
    images = ImageSet(torch.arange(3, dtype=torch.uint8)[:, None, None, None], torch.arange(3), ("a", "b", "c"))
    data = SimpleNamespace(train_set=images, hparams=SimpleNamespace(batch_size=2))
    step_clock.lengthen(SimpleNamespace(limit_train_batches=4, world_size=1, datamodule=data))
    assert data.train_set.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert data.train_set.images.flatten().tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    step_clock.lengthen(SimpleNamespace(limit_train_batches=4, world_size=2, datamodule=data))
    assert len(data.train_set) == 16


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mnist_mlp", "sorting_encoder_decoder", "svhn_gan", "pusht"])
def test_the_bare_loop_trains_as_the_trainer_does(family):
    runs = [contestant() for contestant in step_time.contestants_of(family, 2, 1, against=None).values()]
    bare, fit = runs
    assert bare.weights == fit.weights
    assert min(bare.seconds, fit.seconds, bare.cpu_seconds, fit.cpu_seconds) > 0


def test_disturbances_of_several_policies_stand_in_one_table(no_network, monkeypatch, capsys):
    """A row for each; the cell of a policy that never touches the block."""
    played = []

    def stand_still(policy, world, seeds):
        played.append((policy.path, world.wrapped_in))
        return world.rollout(lambda seen, _: np.repeat(seen[:, -1:, :2], 8, 1), seeds, 2, 8)

    def load(path, kind):
        return SimpleNamespace(path=path, observation="pixels" if path == "eyes" else "keypoints")

    monkeypatch.setattr(pusht_disturbances, "load_trained", load)
    monkeypatch.setattr(pusht_disturbances, "roll_out", stand_still)
    monkeypatch.setattr(sys, "argv", ["pusht_disturbances", "a", "eyes"])
    with pytest.raises(SystemExit, match="KeypointNoise needs the observation 'keypoints'; got 'pixels'"):
        command.as_command(pusht_disturbances.main)
    assert not played
    monkeypatch.setattr(sys, "argv", ["pusht_disturbances", "a", "b", "--episodes", "2", "--only", "none", "delay"])
    pusht_disturbances.main()
    assert played == [("a", []), ("b", []), ("a", ["ActionDelay"]), ("b", ["ActionDelay"])]
    said = capsys.readouterr().out
    assert said.count("0.0 % [0.0, 65.8]") == 4
    assert "seeds 100000 to 100001" in " ".join(said.split())
