"""Train and test with several seeds: `python train.py repeat --config C --seeds N`.

    runs/repeat/<config>/repeat.yaml   the config that it was begun with
    runs/repeat/<config>/seed_0/       the run of a seed, as `fit` leaves it; test.json, its test metrics; output.txt,
                                       what it printed
    runs/repeat/<config>/repeat.json   mean, standard deviation and 95 % interval of every test metric

Stopped or killed at any moment, the same command goes on.
"""

import argparse
import contextlib
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from rich.console import Console
from rich.table import Table

import limits
from checkpoints.pretrained import trained_file
from checkpoints.runs import CONFIG, LOCK
from cli import planned_fits
from cli.messages import say
from cli.own_process import Failed, OwnProcess, Returned, call_all, stopping_by_signals
from cli.planned_fits import Main
from cli.subcommand_parser import SubcommandParser
from metrics.confidence_interval import students_t_interval

TESTED = "test.json"
ORPHAN_ENDS = 60  # seconds


def repeat(args: list[str], main: Main) -> None:
    """Do what the words after `repeat` say.

    Args:
        args: options of this command, and words of `fit`, which all seeds share.
        main: `train.main`.

    Raises ValueError, OSError or MisconfigurationException for a mistake, and where a seed's training failed, once the
    others are done; SystemExit where a signal told it to stop.
    """
    options, words = _parsed(args)
    limits.whole(1, 1000, seeds=options.seeds)
    limits.whole(1, 64, parallel=options.parallel)
    config = planned_fits.fit_config(main, words)
    planned_fits.check_words(words, config)
    first = config["seed_everything"]
    place = planned_fits.place_of(words, config, options.name)
    planned_fits.keep(place / "repeat.yaml", {"fit": config})
    runs = {seed: place / f"seed_{seed}" for seed in range(first, first + options.seeds)}
    with _alone(place), stopping_by_signals():
        failed = _run(runs, main, [*words, f"--trainer.default_root_dir={place.parent}"], options.parallel)
    if failed:
        seed, reason = next(iter(failed.items()))
        raise ValueError(
            f"{len(failed)} of {len(runs)} seeds failed, seed {seed} with: {reason}; what it printed is in "
            f"{runs[seed] / 'output.txt'}; the same command tries again"
        )
    report = summary(runs, "python train.py repeat " + " ".join(args))
    planned_fits.write_whole(place / "repeat.json", json.dumps(report, indent=2) + "\n")
    Console().print(_table(report))
    say(f"written to {place / 'repeat.json'}")


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    try:
        with FileLock(place / ".repeat", timeout=0):
            yield
    except Timeout as error:
        raise ValueError(f"another process trains the seeds of {place}; wait for its end, or give a --name") from error


def _parsed(args: list[str]) -> tuple[argparse.Namespace, list[str]]:
    epilog = "All other words are those of fit, and hold for every seed; --seed_everything is the first one."
    parser = SubcommandParser("repeat", __doc__, epilog)
    parser.add_argument("--seeds", type=int, required=True, help="how many")
    parser.add_argument("--parallel", type=int, default=1, help="trainings at once, each with one thread (default 1)")
    parser.add_argument("--name", default="repeat", help="their folder is runs/NAME/<config> (default repeat)")
    return parser.parse_known_args(args)


def _run(runs: dict[int, Path], main: Main, words: list[str], parallel: int) -> dict[int, str]:
    """Train and test the seeds that are not tested yet; returns why seeds failed."""
    failed: dict[int, str] = {}

    def begin(seed: int) -> OwnProcess:
        run = runs[seed]
        run.mkdir(exist_ok=True)
        with FileLock(run / LOCK, timeout=ORPHAN_ENDS):  # a process that was left alone may be about to end
            pass
        say(f"seed {seed} begins")
        return OwnProcess(fit_and_test, (main, words, run, seed, parallel > 1), run / "output.txt")

    def ended(seed: int, outcome: Returned | Failed) -> None:
        if isinstance(outcome, Failed):
            failed[seed] = outcome.reason
        say(f"seed {seed} " + (f"failed: {outcome.reason}" if isinstance(outcome, Failed) else "is tested"))

    waiting = {seed: partial(begin, seed) for seed in sorted(runs) if not (runs[seed] / TESTED).exists()}
    call_all(waiting, parallel, ended)
    return failed


def fit_and_test(
    main: Main, words: list[str], run: Path, seed: int, one_thread: bool, ask: Callable[[Any], Any]
) -> None:
    """In a process of its own: train a seed, or go on with it, and test its best checkpoint, else its last."""
    if one_thread:
        torch.set_num_threads(1)
    _main(main, ["fit", *words, f"--seed_everything={seed}", f"--run={run.name}", "--ckpt_path=last"])
    checkpoint = trained_file(run)
    trainer = _main(main, ["test", "--config", str(run / CONFIG), "--ckpt_path", str(checkpoint)]).trainer
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    report = {"seed": seed, "checkpoint": str(checkpoint), "metrics": metrics}
    planned_fits.write_whole(run / TESTED, json.dumps(report, indent=2) + "\n")


def _main(main: Main, words: list[str]) -> Any:
    sys.argv[1:] = words  # what Lightning starts other processes of the same run with
    return main(words)


def summary(runs: dict[int, Path], command: str) -> dict[str, Any]:
    """What repeat.json says of finished runs."""
    tests = [json.loads((run / TESTED).read_text(encoding="utf-8")) for run in runs.values()]
    by_seed = [test["metrics"] for test in tests]
    return {
        "command": command,
        "seeds": list(runs),
        "runs": [str(run) for run in runs.values()],
        "metrics": {name: _spread([metrics[name] for metrics in by_seed]) for name in by_seed[0]},
        "by_seed": by_seed,
    }


def _spread(values: list[float]) -> dict[str, float | None]:
    """Mean, standard deviation (with n - 1), and the ends of Student's 95 % interval; of one value the mean alone."""
    if len(values) < 2:
        return {"mean": values[0], "std": None, "low": None, "high": None}
    mean, low, high = students_t_interval(values)
    return {"mean": mean, "std": statistics.stdev(values), "low": low, "high": high}


def _table(report: dict[str, Any]) -> Table:
    rows = Table("metric", "mean", "std", "95 % interval", title=f"seeds {', '.join(map(str, report['seeds']))}")
    for name, spread in report["metrics"].items():
        mean, *others = (f"{value:.4f}" if value is not None else "" for value in spread.values())
        rows.add_row(name, mean, others[0], " to ".join(filter(None, others[1:])))
    return rows
