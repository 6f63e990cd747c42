"""Search for hyperparameters: `python train.py tune --config C --search S --trials N`.

Optuna's TPE suggests what the next trial has, MedianPruner ends one that is worse than half of those before at the same
validation. Each trial is a `fit` in a process of its own.

    runs/tune/<config>/study.db        the study, unless --storage names a database that several machines share
    runs/tune/<config>/study.yaml      the config and the search that it was begun with
    runs/tune/<config>/trial_0000/     the run of a trial, as `fit` leaves it, and what it printed, output.txt
    runs/tune/<config>/best.yaml       what `fit` takes; with it trials.csv, figures, and hparams/ for TensorBoard

Killed at any moment, the same command goes on. A trial that was running goes on from its `last.ckpt`; one that fails is
counted as failed, and the study goes on.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.trial import TrialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import SQLAlchemyError

import limits
from cli import planned_fits
from cli.messages import say
from cli.own_process import Stopped, stopping_by_signals
from cli.parser import CommandError
from cli.planned_fits import Main
from cli.subcommand_parser import SubcommandParser
from cli.tuning import results, trial_run
from cli.tuning.search_space import DIRECTIONS, Search, read_search
from cli.tuning.trials import Trials, open_study

DATABASE = "study.db"


def tune(args: list[str], main: Main) -> None:
    """Do what the words after `tune` say.

    Args:
        args: options of this command, and words of `fit`, which all trials share.
        main: `train.main`.

    Raises ValueError, OSError or MisconfigurationException for a mistake; SystemExit where a signal told it to stop.
    """
    options, words = _parsed(args)
    limits.whole(trials=options.trials)
    search = read_search(options.search)
    words += search.fixed_words()
    config = planned_fits.fit_config(main, words)
    planned_fits.check_words(words, config)
    _check_devices(config)
    for corner in search.corners():
        planned_fits.fit_config(main, [*words, *corner])
    metric, direction = _goal(search, config)
    place = planned_fits.place_of(words, config, options.name)
    planned_fits.keep(place / "study.yaml", {"fit": config, "search": search.plan()})
    with FileLock(place / ".next"):
        url = options.storage or f"sqlite:///{place / DATABASE}"
        study = open_study(url, f"{options.name}/{place.name}", direction)
    trials = Trials(study, place, search, search.given_by(config), config["seed_everything"], not options.storage)
    try:
        with stopping_by_signals():
            _run(trials, options.trials, main, words, metric)
        with FileLock(place / ".results"):  # others may end at the same moment
            _conclude(study, place, metric, config["trainer"])
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise OSError(f"the study's storage failed: {reason}; once it is back, the same command goes on") from error


def _parsed(args: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = SubcommandParser("tune", __doc__, "All other words are those of fit, and hold for every trial.")
    parser.add_argument("--search", required=True, help="what to try, a YAML file as in configs/search/")
    parser.add_argument("--trials", type=int, required=True, help="how many there are in the end, in all processes")
    parser.add_argument("--storage", help="a database, as Optuna names it (default: a file in the study's folder)")
    parser.add_argument("--name", default="tune", help="of the study; its folder is runs/NAME/<config> (default tune)")
    return parser.parse_known_args(args)


def _check_devices(config: dict[str, Any]) -> None:
    trainer = config["trainer"]
    if trainer["num_nodes"] != 1 or trainer["devices"] not in ("auto", 1, "1", [0]):
        raise CommandError(
            f"trainer.devices={trainer['devices']!r}: a trial trains on one device; give --trainer.devices 1, and "
            "start this command once for each device, with its number in CUDA_VISIBLE_DEVICES"
        )


def _goal(search: Search, config: dict[str, Any]) -> tuple[str, str]:
    monitor, mode = config["checkpoint"]["monitor"], config["checkpoint"]["mode"]
    metric = search.metric or monitor
    if not metric:
        raise CommandError(
            "nothing says what a good trial is: the config monitors no metric; name one in the search file, as metric: "
            "val/accuracy with direction: maximize"
        )
    if search.direction is None and metric != monitor:
        raise CommandError(f"the search file names metric: {metric}; say direction: maximize or minimize, too")
    return metric, search.direction or DIRECTIONS[mode]


def _run(trials: Trials, count: int, main: Main, words: list[str], metric: str) -> None:
    """Train until there are `count` trials and none is left to take up."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    begin, before = time.monotonic(), _finished(trials.study)
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("trials", total=count, completed=before)
        while (taken := trials.take(count)) is not None:
            number, done = taken.trial.number, _finished(trials.study)
            minutes = (time.monotonic() - begin) / 60 / max(1, done - before) * (count - done)
            left = f", {minutes:.1f} min left" if done > before else ""
            bar.update(task, completed=done, description=f"trial {number}{_best_so_far(trials.study)}{left}")
            console.print(f"train.py: trial {number} begins{left}")
            outcome = trial_run.train(taken, main, words, trials.search, metric)
            if isinstance(outcome, Stopped):
                raise SystemExit(outcome.code)
            trials.finish(taken, outcome)
            console.print(_said(trials.study, number, metric, count))
        bar.update(task, completed=_finished(trials.study))


def _finished(study: optuna.Study) -> int:
    return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))


def _best_so_far(study: optuna.Study) -> str:
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return ""
    return f", best {study.best_value:.6g} of trial {study.best_trial.number}"


def _said(study: optuna.Study, number: int, metric: str, count: int) -> str:
    """How a trial ended, in one line."""
    trial = study.get_trials(deepcopy=False)[number]
    value = "" if trial.value is None else f", {metric} {trial.value:.6g}"
    error = f": {trial.user_attrs['error']}" if "error" in trial.user_attrs else ""
    state = results.ENDED[trial.state]
    return f"train.py: trial {number} {state}{value}{error} ({_finished(study)} of {count}{_best_so_far(study)})"


def _conclude(study: optuna.Study, place: Path, metric: str, trainer: dict[str, Any]) -> None:
    results.write_csv(study, place / "trials.csv", metric)
    Console().print(results.table(study, metric))
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            say("no trial is complete yet; the others of this study's processes go on")
            return
        said = [trial.user_attrs["error"] for trial in study.get_trials(deepcopy=False) if "error" in trial.user_attrs]
        raise ValueError(f"no trial came to its end; the last one failed with: {said[-1] if said else 'nothing'}")
    results.write_best(study, place / "best.yaml", metric, trainer)
    results.write_figures(study, place, metric)
    results.write_hparams(study, place / "hparams", metric)
    say(f"the best of {len(study.trials)} trials: python train.py fit --config {place / 'best.yaml'}")
