"""kill -9 at random moments, half of them while a checkpoint is written.

What a killed process leaves is compared with the checkpoints of a run that nobody disturbs.
"""

import itertools
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from multiprocessing.process import BaseProcess
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import train
from benchmarks.reliability import plain_lightning, processes
from benchmarks.reliability.processes import opened
from tests.runs import ROOT, differences

EPOCHS, BATCHES = 30, 3  # batches of 512 in an epoch: checkpoints come often
QUIET = "--trainer.precision 32-true --trainer.callbacks [] --trainer.enable_model_summary false"


@dataclass
class Contestant:
    """A program that starts a training run in the current folder, or goes on with one."""

    main: Callable[[list[str]], object]
    words: list[str]
    checkpoints: str  # where `last.ckpt` lies, from that folder
    partial: str  # the name of a file in which a checkpoint is written until it is whole

    def start(self, folder: Path, temporary: Path, fuse: tuple[int, float] | None = None) -> BaseProcess:
        temporary.mkdir(parents=True, exist_ok=True)
        before = (light, *fuse, self.partial) if fuse else ()
        return processes.start(self.main, self.words, folder, *before, temporary=temporary)

    def last(self, folder: Path) -> Path | None:
        return max(folder.glob(self.checkpoints), default=None)


def light(number: int, seconds: float, partial: str) -> None:
    """kill -9 for this process, so many seconds after its number-th write of a checkpoint began."""
    writes = itertools.count(1)

    def burn() -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    def note(event: str, arguments: tuple) -> None:
        if event != "open" or arguments[1] != "w" or not isinstance(arguments[0], str):
            return
        if fnmatch(Path(arguments[0]).name, partial) and next(writes) == number:
            threading.Thread(target=burn).start()

    sys.addaudithook(note)


def contestants(epochs: int) -> dict[str, Contestant]:
    words = f"fit --config {ROOT}/configs/mnist_mlp.yaml --model.hidden [1024,1024] --data.source fonts {QUIET}"
    words += f" --trainer.max_epochs {epochs} --trainer.limit_train_batches {BATCHES}"
    return {
        "firstlight": Contestant(
            train.command_line,
            [*words.split(), "--ckpt_path", "last"],
            "runs/mnist_mlp/version_*/checkpoints/last.ckpt",
            "*.part",
        ),
        "plain": Contestant(
            plain_lightning.main,
            ["--epochs", str(epochs), "--batches", str(BATCHES)],
            "checkpoints/last.ckpt",
            "tmp????????",
        ),
    }


def undisturbed(contestant: Contestant, folder: Path, temporary: Path) -> tuple[dict[int, Path], list[float]]:
    """Every `last.ckpt` that a run writes, by its step; seconds from the start until it was there."""
    begin, times, kept = time.perf_counter(), [], [folder]
    process = contestant.start(folder, temporary)
    going = True
    while going:
        going = process.is_alive()  # then look once more
        path = contestant.last(folder)
        if path is not None and not path.samefile(kept[-1]):
            kept.append(folder / f"kept-{len(kept)}.ckpt")
            os.link(path, kept[-1])
            times.append(time.perf_counter() - begin)
        time.sleep(0.01)
    return {opened(path)["global_step"]: path for path in kept[1:]}, times


@dataclass
class Count:
    """The outcomes of one contestant's kills."""

    kills: int = 0
    before_the_first: int = 0
    while_writing: int = 0
    whole: int = 0
    equal: int = 0
    runs: int = 0
    equal_runs: int = 0
    said: list[str] = field(default_factory=list)


def equal_training(ours: dict, theirs: dict) -> bool:
    """Weights, optimizers and schedules."""
    names = ("global_step", "state_dict", "optimizer_states", "lr_schedulers")
    return not any(differences(ours[name], theirs[name]) for name in names)


def kills(name: str, count: int, seed: int, temporary: str | None) -> Count:
    """Kill a training run, look at what is left, go on from there, and so on; every other kill while it writes."""
    contestant, found, draw = contestants(EPOCHS)[name], Count(), random.Random(seed)
    with tempfile.TemporaryDirectory() as root, Progress() as bar:
        task = bar.add_task(f"{name}: a run that nobody disturbs", total=count)
        processes.start(print, [], Path(root)).join()  # after the imports, so that they do not count as a run's start
        (whole := Path(root, "whole")).mkdir()
        steps, times = undisturbed(contestant, whole, Path(temporary or whole) / "temporary")
        startup, epoch = times[0], (times[-1] - times[0]) / (len(times) - 1)
        bar.update(task, description=f"{name}: killing")
        while found.kills < count and len(found.said) < 3:
            (folder := Path(root, f"run-{found.runs}")).mkdir()
            place = Path(temporary or folder) / "temporary"
            while True:
                in_a_write = found.kills % 2 == 1
                fuse = (draw.randint(1, 4), draw.uniform(0, 0.03)) if in_a_write and found.kills < count else None
                started = time.time()
                process = contestant.start(folder, place, fuse)
                if not in_a_write and found.kills < count:
                    process.join(draw.uniform(0, startup + 3 * epoch))
                    process.kill()
                process.join()
                if process.exitcode != -signal.SIGKILL:
                    break
                bar.advance(task)
                found.kills += 1
                parts = [*folder.rglob(contestant.partial), *place.glob(contestant.partial)]
                found.while_writing += any(path.is_file() and path.stat().st_mtime > started for path in parts)
                last = contestant.last(folder)
                if last is None:
                    found.before_the_first += 1  # nothing to open yet
                elif (content := opened(last)) is not None:
                    found.whole += 1
                    found.equal += equal_training(content, opened(steps[content["global_step"]]))
                else:
                    break
            found.runs += 1
            last = contestant.last(folder)
            content = opened(last) if last else None
            found.equal_runs += process.exitcode == 0 and equal_training(content, opened(steps[max(steps)]))
            if process.exitcode not in (0, -signal.SIGKILL):
                found.said.append(processes.last_line(folder))
    return found


def table(found: dict[str, Count]) -> Table:
    """What was found of each contestant; of the kills before a first checkpoint nothing can be opened."""
    rows = Table(title="kill -9")
    for column in (
        "",
        "kills",
        "in a write",
        "before the first checkpoint",
        "checkpoint opens",
        "and equals the undisturbed run's",
        "runs that ended with the same weights",
    ):
        rows.add_column(column)
    for name, count in found.items():
        ended = f"{count.equal_runs} of {count.runs}"
        rows.add_row(
            name, *map(str, (count.kills, count.while_writing, count.before_the_first, count.whole, count.equal, ended))
        )
        for line in count.said:
            Console().print(line)
    return rows
