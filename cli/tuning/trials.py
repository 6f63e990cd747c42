"""The trials of a study: which one comes next, and how it ended.

A trial that runs is locked in its folder by the process that trains it, so that one whose process was killed is known
at once, and taken up. Where several machines share a study and no disk, they are known by when they were last seen.
"""

import contextlib
import math
import time
import uuid
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.samplers import BaseSampler, PartialFixedSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from cli.own_process import Failed, Outcome
from cli.planned_fits import write_whole
from cli.tuning.search_space import Search

SEEN_EVERY, GONE_AFTER = 60, 600  # seconds: a machine says that a trial runs; from when on it counts as gone
SQLITE_WAITS = 60  # seconds for another process to write
RACES = 5  # for making the tables, that a process may lose


def open_study(url: str, name: str, direction: str) -> optuna.Study:
    """The study of that name, which is made where there is none.

    Args:
        url: as Optuna's storages have it: sqlite:///PATH, postgresql+psycopg://USER@HOST/DATABASE, ...
        name: of the study.
        direction: "maximize" or "minimize".

    Raises ValueError where the storage cannot be used, or holds a study of that name in the other direction.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        shown = make_url(url).render_as_string(hide_password=True)
        storage = _storage(url)
        pruner = optuna.pruners.MedianPruner()
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction=optuna.study.StudyDirection[direction.upper()],
            pruner=pruner,
            load_if_exists=True,
        )
    except (SQLAlchemyError, ImportError, RuntimeError, ValueError, optuna.exceptions.OptunaError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise ValueError(
            f"the storage {url.partition('://')[0]}://... cannot be used: {reason}; name one with --storage as Optuna "
            "does, such as sqlite:///study.db"
        ) from error
    if study.direction.name.lower() != direction:
        raise ValueError(
            f"the study {name} in {shown} is to {study.direction.name.lower()}, and here it is {direction}; give "
            "another --name"
        )
    return study


def _storage(url: str) -> optuna.storages.RDBStorage:
    """The database; a new one gets its tables."""
    options: dict[str, Any] = {"connect_args": {"timeout": SQLITE_WAITS}} if url.startswith("sqlite") else {}
    for _ in range(RACES):
        with contextlib.suppress(ProgrammingError, IntegrityError):  # another process made a table at the same moment
            return optuna.storages.RDBStorage(url, engine_kwargs=options)
        time.sleep(1)
    return optuna.storages.RDBStorage(url, engine_kwargs=options)


@dataclass
class Taken:
    """A trial that this process trains."""

    trial: Trial
    folder: Path
    lock: FileLock  # held until it is finished


class Trials:
    """Hands out a study's trials, each to one process at a time.

    Args:
        study: what they belong to.
        place: the folder of their folders.
        search: what they try.
        start: the values of the first trial, as far as they are known: those of the config.
        seed: what trial k tries follows from it, k, and the trials before.
        alone: all trials of the study lie in this place.
    """

    def __init__(self, study: optuna.Study, place: Path, search: Search, start: dict[str, Any], seed: int, alone: bool):
        self.study, self.place, self.search, self.start = study, place, search, start
        self.seed, self.alone = seed, alone
        self.id = _id_of(place)

    def take(self, count: int) -> Taken | None:
        """A trial that was cut short, or else a new one; None where there are `count` and none to take up.

        Raises ValueError where the next trial's folder is there already.
        """
        with FileLock(self.place / ".next"):
            for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if not self._is_ours(frozen):
                    self._fail_if_gone(frozen)
                elif (lock := self._lock(frozen.number)) is not None:
                    return self._taken(frozen.number, lock)
            begun = self.study.get_trials(deepcopy=False)
            if len(begun) >= count:
                return None
            if (folder := self._folder(len(begun))).exists():
                raise ValueError(f"{folder} belongs to another study than this one; give another --name")
            number = self.study.ask().number
            lock = self._lock(number)
            assert lock is not None  # nobody else takes any meanwhile
            return self._taken(number, lock)

    def finish(self, taken: Taken, outcome: Outcome) -> None:
        """Say how a trial ended: its value is its best validation, as that of its `best.ckpt` is."""
        trial, number = taken.trial, taken.trial.number
        values = [value for value in self._frozen(number).intermediate_values.values() if math.isfinite(value)]
        if not isinstance(outcome, Failed) and not values:
            outcome = Failed(f"its metric was never measured, or never a number; see {taken.folder / 'output.txt'}")
        if isinstance(outcome, Failed):
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # as in `_tell`
                trial.set_user_attr("error", outcome.reason)
            self._tell(number, state=TrialState.FAIL)
        elif was_pruned(trial):
            self._tell(number, state=TrialState.PRUNED)
        else:
            best = max if self.study.direction == optuna.study.StudyDirection.MAXIMIZE else min
            self._tell(number, values=best(values))
        taken.lock.release()

    def _tell(self, number: int, **how: Any) -> None:
        self.study.tell(number, skip_if_finished=True, **how)  # finished: by another machine that took it for gone

    def _taken(self, number: int, lock: FileLock) -> Taken:
        self.study.sampler = self._sampler(number)
        trial = Trial(self.study, self._frozen(number)._trial_id)
        seen(trial)
        trial.set_user_attr("place", self.id)
        self.search.suggest(trial)
        return Taken(trial, self._folder(number), lock)

    def _sampler(self, number: int) -> BaseSampler:
        """One of its own for each trial: a process that begins anew does not draw what was drawn before."""
        (seed,) = np.random.SeedSequence([self.seed, number]).generate_state(1)
        sampler = TPESampler(seed=int(seed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return PartialFixedSampler(self.start, sampler) if number == 0 else sampler

    def _frozen(self, number: int) -> FrozenTrial:
        return next(trial for trial in self.study.get_trials(deepcopy=False) if trial.number == number)

    def _folder(self, number: int) -> Path:
        return self.place / f"trial_{number:04}"

    def _lock(self, number: int) -> FileLock | None:
        """A lock on a trial, None where another process has it."""
        self._folder(number).mkdir(exist_ok=True)
        lock = FileLock(self._folder(number) / ".trial")
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
            return lock
        return None

    def _is_ours(self, frozen: FrozenTrial) -> bool:
        """Whether a trial's folder is, or will be, here; one that was killed before it said so is where all are."""
        return frozen.user_attrs.get("place", self.id if self.alone else None) == self.id

    def _fail_if_gone(self, frozen: FrozenTrial) -> None:
        begun = frozen.datetime_start.timestamp() if frozen.datetime_start else 0.0
        if time.time() - max(begun, frozen.user_attrs.get("seen", 0.0)) > GONE_AFTER:
            Trial(self.study, frozen._trial_id).set_user_attr("error", "its machine was not seen any more")
            self._tell(frozen.number, state=TrialState.FAIL)


def seen(trial: Trial) -> None:
    """Say that a trial runs."""
    trial.set_user_attr("seen", time.time())


def report(trial: Trial, step: int, value: float) -> bool:
    """Keep a validation's value; returns whether the trial is to end here.

    Validations are counted, so that trials with other batch sizes can be compared. A run that was killed and goes on
    from its last checkpoint validates some steps once more, of which Optuna keeps the first value.

    Args:
        trial: that validates.
        step: the optimizer steps before this validation.
        value: of the metric.
    """
    steps = trial.user_attrs.get("steps", [])
    if step not in steps:
        steps = [*steps, step]
        trial.set_user_attr("steps", steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it has the value already
        trial.report(value, steps.index(step))
    ends = trial.should_prune()
    if ends:
        trial.set_user_attr("pruned", True)
    return ends


def was_pruned(trial: Trial) -> bool:
    """Whether `report` has said that a trial is to end."""
    return trial.user_attrs.get("pruned", False)


def _id_of(place: Path) -> str:
    """What distinguishes a folder from all others, also of other machines: written into it once."""
    path = place / ".id"
    with FileLock(place / ".next"):
        if not path.exists():
            write_whole(path, uuid.uuid4().hex)
    return path.read_text(encoding="utf-8")
