"""The training of one trial, in a process of its own."""

import time
from collections.abc import Callable
from typing import Any

from filelock import FileLock

from callbacks.validation_report import ValidationReport
from checkpoints.runs import CONFIG, LOCK
from cli.own_process import Outcome, OwnProcess, Returned, outcomes
from cli.planned_fits import Main
from cli.tuning.search_space import Search, as_words
from cli.tuning.trials import SEEN_EVERY, Taken, report, seen, was_pruned

ORPHAN_ENDS = 60  # seconds


def train(taken: Taken, main: Main, words: list[str], search: Search, metric: str) -> Outcome:
    """Train a trial to its end; one that was cut short goes on from its `last.ckpt`.

    Args:
        taken: the trial.
        main: `train.main`.
        words: of `fit`, that all trials share.
        search: what this one has of its own.
        metric: that is reported after each validation.
    """
    trial, folder = taken.trial, taken.folder
    if was_pruned(trial):
        return Returned(None)
    place = [f"--trainer.default_root_dir={folder.parent.parent}", f"--run={folder.name}", "--ckpt_path=last"]
    words = ["fit", *words, *as_words(search.suggest(trial)), "--trainer.devices=1", *place]
    with FileLock(folder / LOCK, timeout=ORPHAN_ENDS):  # the process of one that was killed may be about to end
        pass
    ended: dict[OwnProcess, Outcome] = {}
    with OwnProcess(fit, (main, words, metric), folder / "output.txt", lambda told: report(trial, *told)) as process:
        said = time.monotonic()
        while not ended:
            ended = outcomes([process], seconds=1)
            if time.monotonic() - said > SEEN_EVERY:
                seen(trial)
                said = time.monotonic()
    if (config := folder / CONFIG).exists():
        trial.set_user_attr("config", config.read_text(encoding="utf-8"))
    return ended[process]


def fit(main: Main, words: list[str], metric: str, ask: Callable[[Any], Any]) -> None:
    """In the trial's process: one training that tells its validations."""
    main(words, [ValidationReport(metric, lambda step, value: ask((step, value)))])
