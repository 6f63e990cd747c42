import json
import multiprocessing
import re
import statistics
from pathlib import Path

import pytest
import torch
from scipy import stats

import train
from cli import own_process
from cli import repeat as command
from cli.repeat import repeat
from tests.cli.runs import SHORT, TOYS
from tests.cli.tuning.pretend import VALIDATIONS, pretend

PLACE = Path("runs/repeat/Model")


@pytest.fixture(autouse=True)
def forked(offline, monkeypatch):
    """Processes that need no imports."""
    monkeypatch.setattr(own_process, "CONTEXT", multiprocessing.get_context("fork"))


def repeated(*words):
    repeat([*words], pretend)
    return json.loads((PLACE / "repeat.json").read_text())


def tries(seed):
    return len((PLACE / f"seed_{seed}/tries").read_text())


@pytest.mark.parametrize("parallel", [1, 2, 5])
def test_every_seed_is_trained_and_tested(parallel):
    found = repeated("--seeds=4", f"--parallel={parallel}")
    values = [0.9, 0.91, 0.92, 0.93]
    assert found["seeds"] == [0, 1, 2, 3]
    assert [metrics["test/accuracy"] for metrics in found["by_seed"]] == pytest.approx(values)
    assert found["runs"] == [f"runs/repeat/Model/seed_{seed}" for seed in range(4)]
    spread = found["metrics"]["test/accuracy"]
    assert spread["mean"] == pytest.approx(statistics.mean(values))
    assert spread["std"] == pytest.approx(statistics.stdev(values))
    ends = stats.t.interval(0.95, 3, loc=statistics.mean(values), scale=stats.sem(values))
    assert (spread["low"], spread["high"]) == pytest.approx(ends)


def test_one_seed_has_no_spread():
    assert repeated("--seeds=1", "--seed_everything=7")["metrics"] == {
        "test/accuracy": {"mean": pytest.approx(0.97), "std": None, "low": None, "high": None}
    }


def test_seeds_are_counted_from_the_configs():
    assert repeated("--seeds=2", "--seed_everything=5")["seeds"] == [5, 6]


def test_the_same_command_trains_nothing_again_and_more_seeds_go_on():
    repeated("--seeds=2")
    before = [tries(0), tries(1)]
    assert repeated("--seeds=3")["seeds"] == [0, 1, 2]
    assert [tries(0), tries(1)] == before


def test_a_seed_that_fails_leaves_the_others_and_is_tried_again(monkeypatch):
    original = command.fit_and_test

    def failing(main, words, run, seed, one_thread, ask):
        if seed == 1:
            raise ValueError("the loss is nan")
        original(main, words, run, seed, one_thread, ask)

    with monkeypatch.context() as patch:
        patch.setattr(command, "fit_and_test", failing)
        with pytest.raises(ValueError, match=r"1 of 3 seeds failed, seed 1 with: the loss is nan.*output\.txt"):
            repeated("--seeds=3")
    assert not (PLACE / "repeat.json").exists()
    assert [(PLACE / f"seed_{seed}/test.json").exists() for seed in range(3)] == [True, False, True]
    assert len(repeated("--seeds=3")["by_seed"]) == 3


def test_a_run_that_was_cut_short_goes_on():
    (PLACE / "seed_0/checkpoints").mkdir(parents=True)
    (PLACE / "seed_0/checkpoints/last.ckpt").write_text(str(VALIDATIONS - 1))  # those that are done
    repeated("--seeds=1")
    assert tries(0) == 1


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("", ["--seeds"]),
        ("--seeds=0", ["seeds=0", "at least 1"]),
        ("--seeds=1001", ["seeds=1001"]),
        ("--seeds=two", ["--seeds", "two"]),
        ("--seeds=2 --parallel=0", ["parallel=0"]),
        ("--seeds=2 --run=mine", ["--run must be left out"]),
        ("--seeds=2 --ckpt_path=last", ["--ckpt_path must be left out"]),
        ("--seeds=2 --seed_everything=-1", ["seed_everything=-1"]),
        ("--seeds=2 --trainer.fast_dev_run=true", ["fast_dev_run"]),
        ("--seeds=2 --name=..", ["--name '..'"]),
        ("--seeds=2 --model.wdith=3", ["wdith"]),
        ("--seeds=2 --trainer.default_root_dir=file", ["file/repeat"]),
    ],
)
def test_mistakes(words, answers):
    Path("file").touch()
    with pytest.raises((ValueError, OSError), match=re.escape(answers[0])) as caught:
        repeated(*words.split())
    assert all(answer in str(caught.value) for answer in answers)
    assert "\n" not in str(caught.value)
    assert not Path("runs").exists()


def test_another_config_does_not_go_on():
    repeated("--seeds=1")
    with pytest.raises(ValueError, match=r"fit\.trainer\.max_epochs=1, and here it is 2"):
        repeated("--seeds=1", "--trainer.max_epochs=2")


def test_two_at_the_same_seeds_are_refused():
    PLACE.mkdir(parents=True)
    with command._alone(PLACE), pytest.raises(ValueError, match="another process trains the seeds"):
        repeated("--seeds=1")


def test_a_real_training_and_test(monkeypatch):
    """In this process, as the process of a seed does it."""
    words = [*TOYS, *SHORT, "--trainer.default_root_dir=runs/repeat"]
    run = Path("runs/repeat/ToyModel/seed_3")
    run.mkdir(parents=True)
    threads = torch.get_num_threads()
    command.fit_and_test(train.main, words, run, 3, True, print)
    torch.set_num_threads(threads)
    found = json.loads((run / "test.json").read_text())
    assert (found["seed"], found["checkpoint"]) == (3, str(run / "checkpoints/best.ckpt"))
    tested = train.main(["test", "--config", str(run / "config.yaml"), "--ckpt_path", found["checkpoint"]])
    assert found["metrics"] == {"test/loss": float(tested.trainer.callback_metrics["test/loss"])}
