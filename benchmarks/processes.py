"""Seconds of a training step on one process and on several that share it, and where they go; nothing to download.

    python -m benchmarks.processes
    python -m benchmarks.processes --families cifar10_fast --processes 4 --rounds 5

One process takes a batch, N take as many rows together (`configs/with/ddp.yaml`), each on one thread of the CPU. Two
more contestants say why N processes are not N times as fast:

    share         one process with the rows of one of N: what does not shrink with the batch
    side by side  N such processes at once that exchange nothing: what the machine's cores take from one another
    together      N processes by the overlay: beside that, what exchanging gradients and waiting for the slowest takes

Runs are `train.py fit` on a shipped config with its callbacks, without logger and progress bar, without validation and
without what comes at the end of an epoch. Contestants take turns, in reverse order every second round; a ratio is of
one round, given as its median and range, every other figure is a median over rounds of the mean over steps and
processes. Images are digits from fonts.
"""

import argparse
import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import lightning as L
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch.multiprocessing.spawn import start_processes

import train
from benchmarks.command import as_command
from benchmarks.step_clock import lengthen, now
from benchmarks.step_time import race, spread
from cli.publication import machine
from envs.arguments import one_or_more, whole_number

ROOT = Path(__file__).parent.parent
FAMILIES = {"cifar10_fast": 500, "cifar10_resnet": 256, "cifar10_ddpm": 128}  # configs, and rows of a joined batch
PARTS = ("batch", "forward", "backward", "optimizer")


class PartClock(L.Callback):
    """Notes how long each part of each step takes, and ends the process when the last batch begins.

    Parts are: all that comes between steps (the batch and its augmentation, callbacks, logs), the loss, its gradients
    with their exchange, and the optimizer with all that looks at gradients before it.

    Args:
        out: the folder for a JSON file of each process: {part: [[seconds, seconds of CPU time], for each step]}.
        rank: of this process.
    """

    def __init__(self, out: str, rank: int):
        self.out, self.times = Path(out) / f"{rank}.json", {part: [[0.0, 0.0]] for part in PARTS}

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        lengthen(trainer)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(lambda *_: self._ends("optimizer"))
        self.last = now()

    def _ends(self, part: str) -> None:
        self.last, before = now(), self.last
        self.times[part][-1] = [
            spent + end - start for spent, end, start in zip(self.times[part][-1], self.last, before, strict=True)
        ]

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        self._ends("batch")
        if len(self.times["batch"]) == trainer.limit_train_batches:
            self.out.write_text(json.dumps(self.times))
            raise SystemExit
        for times in self.times.values():
            times.append([0.0, 0.0])

    def on_before_backward(self, trainer: L.Trainer, module: L.LightningModule, loss: torch.Tensor) -> None:
        self._ends("forward")

    def on_after_backward(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._ends("backward")


class Run(NamedTuple):
    """Mean seconds of each part of a step, by the clock and of a process's CPU time."""

    clock: dict[str, float]
    cpu: dict[str, float]

    @property
    def seconds(self) -> float:
        return sum(self.clock.values())

    @property
    def cpu_seconds(self) -> float:
        return sum(self.cpu.values())


def timed(family: str, batch_size: int, count: int, shared: bool, steps: int, warm_up: int) -> Run:
    """`count` processes at once with so many rows each in a step, which they share or not.

    Raises RuntimeError where one of them fails.
    """
    words = ["fit", "--config", str(ROOT / f"configs/{family}.yaml"), "--data.source", "fonts"]
    words += ["--data.batch_size", str(batch_size), "--trainer.max_epochs", "1"]
    words += ["--trainer.limit_train_batches", str(warm_up + steps + 1), "--trainer.limit_val_batches", "0"]
    words += ["--trainer.num_sanity_val_steps", "0", "--trainer.enable_model_summary", "false"]
    words += ["--trainer.logger", "false", "--trainer.enable_checkpointing", "false"]
    words += ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]
    if shared:
        words += ["--config", str(ROOT / "configs/with/ddp.yaml"), "--trainer.devices", str(count)]
    with tempfile.TemporaryDirectory() as folder:
        words += ["--trainer.default_root_dir", folder]
        arguments = (folder, words, count if shared else 1, free_port())
        start_processes(_process, arguments, nprocs=count, start_method="spawn")
        runs = [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(count)]

    def mean(which: int) -> dict[str, float]:
        return {part: fmean(step[which] for run in runs for step in run[part][warm_up + 1 :]) for part in PARTS}

    return Run(mean(0), mean(1))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def _process(rank: int, folder: str, words: list[str], world_size: int, port: int) -> None:
    torch.set_num_threads(1)
    if world_size > 1:
        os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": str(world_size)}
        os.environ |= {"NODE_RANK": "0", "LOCAL_RANK": str(rank)}
    clock = ["--trainer.callbacks+=benchmarks.processes.PartClock", f"--trainer.callbacks.out={folder}"]
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.suppress(SystemExit):
        train.main([*words, *clock, f"--trainer.callbacks.rank={rank}"])


def contestants_of(family: str, count: int, steps: int, warm_up: int) -> dict[str, Callable[[], Run]]:
    run = partial(timed, family, steps=steps, warm_up=warm_up)
    rows = FAMILIES[family]
    return {
        "one": partial(run, rows, 1, shared=False),
        "share": partial(run, rows // count, 1, shared=False),
        "side by side": partial(run, rows // count, count, shared=False),
        "together": partial(run, rows // count, count, shared=True),
    }


def cells(runs: list[Run], one: list[Run]) -> list[str]:
    """Milliseconds of a step, its ratio to one process's, and milliseconds of its parts and of CPU time."""
    ratios = [alone.seconds / run.seconds for alone, run in zip(one, runs, strict=True)]
    times = [[run.clock[part] for run in runs] for part in PARTS] + [[run.cpu_seconds for run in runs]]
    milliseconds = [f"{1000 * median(found):.0f}" for found in ([run.seconds for run in runs], *times)]
    return [milliseconds[0], spread(ratios, "{:.2f}".format), *milliseconds[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), metavar="CONFIG")
    parser.add_argument("--processes", type=whole_number(2, 64), default=2, help="that share a step")
    parser.add_argument("--steps", type=one_or_more, default=20, help="steps of a run that count")
    parser.add_argument("--warm-up", type=one_or_more, default=3, help="steps before them that do not count")
    parser.add_argument("--rounds", type=one_or_more, default=3, help="runs of each")
    args = parser.parse_args()
    console = Console()
    tables = []
    with Progress(console=console, transient=True) as bar:
        for family in args.families:
            contestants = contestants_of(family, args.processes, args.steps, args.warm_up)
            task = bar.add_task(family, total=args.rounds * len(contestants))
            runs = race(contestants, args.rounds, partial(bar.advance, task))
            title = f"{family}: milliseconds of a step of {FAMILIES[family]} images, {args.processes} processes"
            tables.append(Table("", "step", "times as fast", *PARTS, "CPU time", title=title))
            for name, found in runs.items():
                tables[-1].add_row(name, *cells(found, runs["one"]))
    console.print(*tables, sep="\n")
    console.print(f"{machine()}, torch {torch.__version__}", highlight=False)


if __name__ == "__main__":
    as_command(main)
