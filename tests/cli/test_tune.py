"""Whole studies: with a pretend trainer, whose processes take no time to begin; slow ones with the real one."""

import csv
import gc
import multiprocessing
import random
import re
import shutil
import signal
import sqlite3
import time

import numpy as np
import optuna
import pytest
import yaml
from optuna.trial import TrialState
from PIL import Image
from sqlalchemy import Engine, event
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

import train
from cli import own_process
from cli.own_process import Failed, Returned
from cli.tune import tune
from cli.tuning import trial_run, trials
from tests.cli.runs import SHORT, TOYS
from tests.cli.tuning.pretend import VALIDATIONS, pretend, value_of
from tests.runs import spoil_at
from tests.test_train import ROOT

LR = "space: {model.lr: {float: [0.01, 1.0], log: true}}"


@pytest.fixture(autouse=True)
def here(offline, monkeypatch, tmp_path):
    optuna.logging.disable_default_handler()
    (tmp_path / "search.yaml").write_text(LR)


@pytest.fixture(autouse=True)
def quick_database():
    """SQLite does not wait for the disk: what the system keeps is enough for a test."""

    def hurry(connection, record):
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", hurry)
    yield
    event.remove(Engine, "connect", hurry)


@pytest.fixture
def forked(monkeypatch):
    """Processes that need no imports."""
    monkeypatch.setattr(own_process, "CONTEXT", multiprocessing.get_context("fork"))


class Within:
    """In place of a process of its own: the call in this one."""

    def __init__(self, work, arguments, output, answer):
        self.call = lambda: work(*arguments, answer)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def served(running, seconds):
    try:
        return {process: Returned(process.call()) for process in running}
    except ValueError as error:
        return dict.fromkeys(running, Failed(str(error)))


@pytest.fixture
def within(monkeypatch):
    monkeypatch.setattr(trial_run, "OwnProcess", Within)
    monkeypatch.setattr(trial_run, "outcomes", served)


def study(*words, count=6, main=pretend):
    tune(["--search=search.yaml", f"--trials={count}", *words], main)
    return loaded()


def loaded(url="sqlite:///runs/tune/Model/study.db", name="tune/Model"):
    return optuna.load_study(study_name=name, storage=url)


def rows(of):
    """What the trials of a study are, but for when they were."""
    return [
        (trial.number, trial.params, trial.state, trial.value, trial.intermediate_values) for trial in of.get_trials()
    ]


@pytest.mark.usefixtures("within")
def test_a_study_ends_with_the_best_config_a_table_and_figures(tmp_path, capsys):
    found = study()
    place = tmp_path / "runs/tune/Model"
    assert [trial.number for trial in found.trials] == list(range(6))
    assert {trial.state for trial in found.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    first = found.trials[0]
    assert first.params == {"model.lr": 0.1}  # the config's own
    assert first.value == value_of(0.1, VALIDATIONS - 2) == max(first.intermediate_values.values())
    assert len(first.intermediate_values) == VALIDATIONS

    best = (place / "best.yaml").read_text()
    config = yaml.safe_load(best)
    assert config["model"]["init_args"]["lr"] == found.best_params["model.lr"]
    assert (config["trainer"]["default_root_dir"], config["trainer"]["devices"]) == (None, "auto")
    assert best.startswith(f"# Trial {found.best_trial.number} of 6: val/accuracy {found.best_value:.6g}")

    table = list(csv.DictReader((place / "trials.csv").open()))
    assert [float(row["val/accuracy"]) for row in table] == [trial.value for trial in found.trials]
    assert [float(row["model.lr"]) for row in table] == [trial.params["model.lr"] for trial in found.trials]
    for name in ("optimization_history", "param_importances", "slice"):
        assert min(Image.open(place / f"{name}.png").size) > 200
    assert "6 of 6" in capsys.readouterr().err
    for trial in found.trials:
        events = EventAccumulator(str(place / f"hparams/trial_{trial.number:04}")).Reload()
        content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
        assert start.hparams["model.lr"].number_value == trial.params["model.lr"]
        assert events.Scalars("val/accuracy")[0].value == pytest.approx(trial.value)


@pytest.mark.slow
@pytest.mark.usefixtures("within")
def test_the_same_command_again_trains_nothing_and_more_trials_go_on(monkeypatch):
    first = rows(study(count=2))
    with monkeypatch.context() as patch:
        patch.setattr(trial_run, "train", lambda *args: pytest.fail("trained"))
        assert rows(study(count=2)) == first
        assert rows(study(count=1)) == first
    assert rows(study(count=3))[:2] == first


@pytest.mark.usefixtures("forked")
def test_trials_that_fail_are_failed_trials_and_the_study_goes_on(tmp_path):
    found = study("--model.kind=by number", count=5)
    said = ["", "the loss is nan at step 3", "MemoryError: cannot allocate 8 TB", "killed by signal 9", ""]
    for trial, words in zip(found.trials, said, strict=True):
        assert trial.state == (TrialState.FAIL if words else TrialState.COMPLETE)
        assert words in trial.user_attrs.get("error", "")
    table = list(csv.DictReader((tmp_path / "runs/tune/Model/trials.csv").open()))
    assert [row["state"] for row in table] == ["complete", "failed", "failed", "failed", "complete"]
    assert [bool(row["error"]) for row in table] == [bool(words) for words in said]


@pytest.mark.usefixtures("within")
def test_a_study_without_a_single_good_trial_says_why(tmp_path):
    with pytest.raises(ValueError, match=r"no trial came to its end.*the loss is nan"):
        study("--model.kind=diverges", count=1)
    assert (tmp_path / "runs/tune/Model/trials.csv").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("within")
def test_trials_end_where_their_best_is_worse_than_the_median_of_those_before():
    trials_ = study(count=10).trials
    assert TrialState.PRUNED in {trial.state for trial in trials_}
    for trial in trials_:
        before = [other for other in trials_[: trial.number] if other.state == TrialState.COMPLETE]
        values = list(trial.intermediate_values.values())
        worse = [
            len(before) >= 5
            and max(values[: step + 1]) < np.median([other.intermediate_values[step] for other in before])
            for step in range(len(values))
        ]
        ended = trial.state == TrialState.PRUNED
        assert worse == [False] * (len(values) - ended) + [True] * ended
        assert ended or len(values) == VALIDATIONS


class Interrupted(Exception):
    pass


def interrupt(monkeypatch, where, at):
    """Breaks the command off, once it is at a trial for the n-th time, before or after a step of it."""
    when, _, step = where.partition(" ")
    owner = trials.Trials if step in ("take", "finish", "_taken") else trial_run
    original, calls = getattr(owner, step), []

    def breaking(*args, **options):
        calls.append(args)
        if len(calls) == at and when == "before":
            raise Interrupted
        result = original(*args, **options)
        if len(calls) == at:
            raise Interrupted
        return result

    monkeypatch.setattr(owner, step, breaking)


@pytest.mark.usefixtures("within")
@pytest.mark.parametrize(
    "where",
    [
        *(pytest.param(where, marks=pytest.mark.slow) for where in ("before _taken", "after _taken", "after take")),
        pytest.param("before train", marks=pytest.mark.slow),
        *(pytest.param(where, marks=pytest.mark.slow) for where in ("after train", "before finish", "after finish")),
    ],
)
def test_a_study_that_was_broken_off_ends_as_one_that_was_not(where, tmp_path, monkeypatch):
    whole = rows(study(count=6))  # of which one, two and three are finished where it is broken off after that
    shutil.move("runs", "whole")
    for at in (1, 2, 3):
        with monkeypatch.context() as patch:
            interrupt(patch, where, at)
            with pytest.raises(Interrupted):
                study(count=6)
            gc.collect()  # locks that the traceback holds
    assert rows(study(count=6)) == whole


@pytest.mark.usefixtures("forked")
@pytest.mark.slow
def test_a_study_that_is_killed_ten_times_ends_as_one_that_is_not(tmp_path):
    """kill -9 of the command itself at random moments; only the trainings are pretended."""
    begin = time.monotonic()
    whole = rows(study("--model.kind=slow"))
    seconds, draw = time.monotonic() - begin, random.Random(0)
    shutil.move("runs", "whole")
    for _ in range(10):
        process = multiprocessing.get_context("fork").Process(target=study, args=("--model.kind=slow",))
        process.start()
        process.join(draw.uniform(0.1, 0.6) * seconds)
        process.kill()
        process.join()
    assert rows(study("--model.kind=slow")) == whole


@pytest.mark.usefixtures("within")
def test_a_trial_that_was_cut_short_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        told = []

        def report(trial, step, value):
            told.append(step)
            if len(told) == 3:
                raise Interrupted
            return original(trial, step, value)

        original = trial_run.report
        patch.setattr(trial_run, "report", report)
        with pytest.raises(Interrupted):
            study(count=1)
    assert loaded().trials[0].state == TrialState.RUNNING
    found = study(count=1).trials[0]
    assert (found.number, found.state, len(found.intermediate_values)) == (0, TrialState.COMPLETE, VALIDATIONS)
    assert len((tmp_path / "runs/tune/Model/trial_0000/tries").read_text()) == VALIDATIONS + 1  # one was begun twice


@pytest.mark.slow
@pytest.mark.usefixtures("within")
def test_a_pruned_trial_that_was_not_yet_told_is_pruned(monkeypatch):
    whole = study(count=16)
    number = whole.get_trials(states=(TrialState.PRUNED,))[0].number
    shutil.move("runs", "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, "before finish", number + 1)
        with pytest.raises(Interrupted):
            study(count=16)
    assert loaded().trials[number].state == TrialState.RUNNING
    assert rows(study(count=16)) == rows(whole)


@pytest.mark.usefixtures("within")
def test_a_storage_that_fails_on_the_way_is_one_line_and_loses_nothing(tmp_path, monkeypatch):
    whole = rows(study(count=3))
    shutil.move("runs", "whole")
    file, original = tmp_path / "runs/tune/Model/study.db", trial_run.train
    kept = []

    def then_it_fails(*args):
        outcome = original(*args)
        if len(list(tmp_path.glob("runs/tune/Model/trial_*"))) == 2:
            kept.append(file.read_bytes())
            file.write_bytes(b"no database any more" * 1000)
        return outcome

    with monkeypatch.context() as patch:
        patch.setattr(trial_run, "train", then_it_fails)
        with pytest.raises(OSError, match=r"^the study's storage failed: [^\n]*; once it is back, the same command"):
            study(count=3)
    gc.collect()  # the connection, and the lock that the traceback holds
    file.write_bytes(kept[0])
    assert rows(study(count=3)) == whole


def taken_by(place, search_study, **options):
    from cli.tuning.search_space import read_search

    place.mkdir(exist_ok=True, parents=True)
    return trials.Trials(search_study, place, read_search("search.yaml"), {}, 0, **options)


def test_two_processes_never_have_the_same_trial(tmp_path):
    shared = trials.open_study(f"sqlite:///{tmp_path}/s.db", "s", "maximize")
    first, second = (taken_by(tmp_path / "place", shared, alone=False) for _ in range(2))
    a, b, c = first.take(3), second.take(3), first.take(3)
    assert [taken.trial.number for taken in (a, b, c)] == [0, 1, 2]
    assert len({taken.trial.params["model.lr"] for taken in (a, b, c)}) == 3
    assert second.take(3) is None
    b.lock.release()  # as the end of its process does
    assert first.take(3).trial.number == 1


def test_what_another_machine_trains_is_left_alone_until_it_is_gone(tmp_path, monkeypatch):
    shared = trials.open_study(f"sqlite:///{tmp_path}/s.db", "s", "maximize")
    here, there = (taken_by(tmp_path / name, shared, alone=False) for name in ("here", "there"))
    taken = there.take(2)
    taken.lock.release()
    other = here.take(2)
    assert other.trial.number == 1
    assert here.take(2) is None
    seen = taken.trial.user_attrs["seen"]
    monkeypatch.setattr(time, "time", lambda: seen + trials.GONE_AFTER - 5)
    assert here.take(2) is None
    assert shared.trials[0].state == TrialState.RUNNING
    monkeypatch.setattr(time, "time", lambda: seen + trials.GONE_AFTER + 5)
    assert here.take(2) is None
    assert shared.trials[0].state == TrialState.FAIL
    assert "not seen" in shared.trials[0].user_attrs["error"]
    there.finish(taken, Returned(None))  # it comes back
    assert shared.trials[0].state == TrialState.FAIL


def test_a_trial_without_a_number_failed(tmp_path):
    found = trials.open_study(f"sqlite:///{tmp_path}/s.db", "s", "minimize")
    place = taken_by(tmp_path / "place", found, alone=True)
    for values, state, value in [
        ([], TrialState.FAIL, None),
        ([float("nan"), float("inf")], TrialState.FAIL, None),
        ([2.0, float("nan"), 1.0, 3.0], TrialState.COMPLETE, 1.0),
    ]:
        taken = place.take(9)
        for step, reported in enumerate(values):
            trials.report(taken.trial, 10 * step, reported)
        place.finish(taken, Returned(None))
        trial = found.trials[taken.trial.number]
        assert (trial.state, trial.value) == (state, value)


def test_a_validation_that_comes_again_counts_once(tmp_path):
    """As of a run that was killed; also where it was between the two things that a report writes."""
    found = trials.open_study(f"sqlite:///{tmp_path}/s.db", "s", "maximize")
    taken = taken_by(tmp_path / "place", found, alone=True).take(1)
    for step, value in [(100, 0.1), (200, 0.2), (100, 0.1), (200, 0.2), (300, 0.3)]:
        trials.report(taken.trial, step, value)
    taken.trial.set_user_attr("steps", [100, 200, 300, 400])
    trials.report(taken.trial, 400, 0.4)
    assert found.trials[0].intermediate_values == {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4}


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("--trials=0", ["trials=0", "at least 1"]),
        ("--trials=-1", ["trials=-1"]),
        ("--trials=many", ["--trials", "many"]),
        ("--seed_everything=-1", ["seed_everything=-1"]),
        ("--search=none.yaml", ["none.yaml"]),
        ("--run=mine", ["--run must be left out"]),
        ("--ckpt_path=last", ["--ckpt_path must be left out"]),
        ("--trainer.fast_dev_run=true", ["fast_dev_run"]),
        ("--trainer.devices=2", ["trainer.devices=2", "CUDA_VISIBLE_DEVICES"]),
        ("--name=a/b", ["--name 'a/b'"]),
        ("--name=", ["--name ''"]),
        ("--model.wdith=3", ["wdith"]),
        ("--checkpoint.monitor=", ["monitors no metric"]),
        ("--storage=nothing", ["storage", "cannot be used"]),
        ("--storage=nosql://host/x", ["storage nosql://... cannot be used"]),
        ("--storage=sqlite:////no/such/folder/x.db", ["storage sqlite://... cannot be used", "unable to open"]),
        ("--storage=postgresql+none://me:secret@host/x", ["cannot be used"]),
        ("--storage=sqlite:///search.yaml", ["storage sqlite://... cannot be used", "not a database"]),
        ("--trainer.default_root_dir=search.yaml", ["search.yaml"]),
    ],
)
def test_mistakes(words, answers):
    with pytest.raises((ValueError, OSError)) as caught:
        study(*words.split())
    for answer in answers:
        assert answer in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("search", "answers"),
    [
        ("space: {model.lrr: {float: [1, 2]}}", ["model.lrr"]),
        ("{metric: val/loss, space: {model.lr: {float: [1, 2]}}}", ["val/loss", "direction"]),
        ("space: {model.lr: {float: [2, 1]}}", ["model.lr"]),
    ],
)
def test_a_search_that_no_trial_could_follow_is_refused_first(search, answers, tmp_path):
    (tmp_path / "search.yaml").write_text(search)
    with pytest.raises(ValueError, match="|".join(map(re.escape, answers))) as caught:
        study()
    assert all(answer in str(caught.value) for answer in answers)
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("within")
def test_another_command_does_not_go_on_with_a_study(tmp_path):
    study(count=1)
    with pytest.raises(ValueError, match=r"fit\.trainer\.max_epochs=1, and here it is 2.*--name"):
        study("--trainer.max_epochs=2")
    (tmp_path / "search.yaml").write_text(LR.replace("0.01", "0.02"))
    with pytest.raises(ValueError, match=r"search\.space"):
        study()


@pytest.mark.slow
@pytest.mark.usefixtures("within")
def test_a_folder_of_another_study_is_left_alone(tmp_path):
    study(count=2)
    (tmp_path / "runs/tune/Model/study.db").unlink()
    with pytest.raises(ValueError, match=r"trial_0000 belongs to another study"):
        study(count=2)


@pytest.mark.usefixtures("within")
def test_real_trainings_and_fit_takes_the_best(tmp_path):
    (tmp_path / "search.yaml").write_text(
        "{fixed: {trainer.max_epochs: 2}, space: {model.lr: {float: [0.01, 0.5]}, data.batch_size: {choice: [4, 8]}}}"
    )
    train.main(["tune", "--search=search.yaml", "--trials=2", *TOYS, *SHORT])
    found = loaded("sqlite:///runs/tune/ToyModel/study.db", "tune/ToyModel")
    assert found.trials[0].params == {"model.lr": 0.1, "data.batch_size": 4}
    assert [(trial.state, len(trial.intermediate_values)) for trial in found.trials] == [(TrialState.COMPLETE, 2)] * 2
    train.main(["fit", "--config", "runs/tune/ToyModel/best.yaml", "--run=again"])
    ours, theirs = (
        yaml.safe_load((tmp_path / run / "config.yaml").read_text())
        for run in ("runs/best/again", f"runs/tune/ToyModel/trial_{found.best_trial.number:04}")
    )
    assert [ours[part] for part in ("model", "data", "seed_everything")] == [
        theirs[part] for part in ("model", "data", "seed_everything")
    ]


@pytest.mark.usefixtures("within")
def test_a_real_training_that_diverges_is_a_failed_trial():
    with pytest.raises(ValueError, match="the loss is nan at step 1"):
        train.main(["tune", "--search=search.yaml", "--trials=1", *TOYS, *SHORT, *spoil_at(2, "nan")])
    (trial,) = loaded("sqlite:///runs/tune/ToyModel/study.db", "tune/ToyModel").trials
    assert trial.state == TrialState.FAIL


TINY = (
    f"--config {ROOT}/configs/mnist_mlp.yaml --data.source fonts --data.batch_size 64 --trainer.limit_train_batches 4 "
    "--trainer.limit_val_batches 2 --trainer.callbacks [] --trainer.precision 32-true --trainer.max_epochs 12 "
    "--trainer.check_val_every_n_epoch 3 --trainer.enable_model_summary false --search search.yaml"
).split()
SPACE = "space: {model.lr: {float: [1.0e-4, 0.1], log: true}, model.hidden: {choice: [[16], [8, 8]]}}"


def mnist_rows(url="sqlite:///runs/tune/mnist_mlp/study.db"):
    return rows(loaded(url, "tune/mnist_mlp"))


@pytest.mark.slow
def test_a_real_study_that_is_killed_ten_times_ends_as_one_that_is_not(tmp_path):
    from benchmarks.reliability import processes

    words = ["tune", *TINY, "--trials", "8"]
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "search.yaml").write_text(SPACE)
    begin = time.monotonic()
    whole = processes.start(train.command_line, words, tmp_path / "whole")
    whole.join()
    assert whole.exitcode == 0
    seconds, draw = time.monotonic() - begin, random.Random(0)
    for _ in range(10):
        process = processes.start(train.command_line, words, tmp_path / "killed")
        process.join(draw.uniform(0.02, 0.4) * seconds)
        process.kill()
        process.join()
    last = processes.start(train.command_line, words, tmp_path / "killed")
    last.join()
    assert last.exitcode == 0
    place = "sqlite:///" + str(tmp_path / "{}/runs/tune/mnist_mlp/study.db")
    killed = mnist_rows(place.format("killed"))
    assert len(killed) == 8
    assert all(state in (TrialState.COMPLETE, TrialState.PRUNED) for _, _, state, _, _ in killed)
    assert killed == mnist_rows(place.format("whole"))


@pytest.mark.slow
def test_sigterm_stops_a_study_which_then_goes_on(tmp_path):
    from benchmarks.reliability import processes

    (tmp_path / "search.yaml").write_text(SPACE)
    words = ["tune", *TINY, "--trials", "2"]
    process = processes.start(train.command_line, words, tmp_path)
    while not list(tmp_path.glob("runs/tune/mnist_mlp/trial_0000/checkpoints/last.ckpt")):
        assert process.is_alive()
        time.sleep(0.1)
    process.terminate()
    process.join()
    assert process.exitcode == 128 + signal.SIGTERM
    assert "the same command goes on" in (tmp_path / "output.txt").read_text()
    assert "SIGTERM: will save and stop" in (tmp_path / "runs/tune/mnist_mlp/trial_0000/output.txt").read_text()
    again = processes.start(train.command_line, words, tmp_path)
    again.join()
    assert again.exitcode == 0
    assert [state for _, _, state, _, _ in mnist_rows()] == [TrialState.COMPLETE] * 2


@pytest.fixture
def postgresql(tmp_path):
    """The URL of a PostgreSQL server of its own, from Debian's packages."""
    pytest.importorskip("psycopg")
    if not (shutil.which("initdb") and shutil.which("pg_ctl")):
        pytest.skip("initdb and pg_ctl are not on the PATH: apt install postgresql, /usr/lib/postgresql/*/bin")
    from tests.cli.postgresql import server

    with server(tmp_path / "postgresql") as url:
        yield url


@pytest.mark.slow
def test_two_workers_share_a_study_in_postgresql(tmp_path, postgresql):
    from benchmarks.reliability import processes

    (tmp_path / "search.yaml").write_text(SPACE)
    words = ["tune", *TINY, "--trials", "6", "--storage", postgresql]
    workers = [processes.start(train.command_line, words, tmp_path) for _ in range(2)]
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    found = mnist_rows(postgresql)
    assert [number for number, *_ in found] == list(range(6))
    assert all(state in (TrialState.COMPLETE, TrialState.PRUNED) for _, _, state, _, _ in found)
    assert len({params["model.lr"] for _, params, *_ in found}) == 6
    said = (tmp_path / "output.txt").read_text()
    assert len(re.findall(r"trial \d begins", said)) == 6
    assert (tmp_path / "runs/tune/mnist_mlp/best.yaml").exists()


def test_the_command_line_knows_it(capsys):
    with pytest.raises(SystemExit) as exit_:
        train.command_line(["tune", "--search", "none.yaml", "--trials", "3", *TOYS])
    assert exit_.value.code == 2
    assert capsys.readouterr().err.strip().startswith("train.py: there is no search file none.yaml")
