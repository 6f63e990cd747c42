"""Seconds of a training step of each family, in `train.py fit` and in a bare PyTorch loop; nothing to download.

    python -m benchmarks.step_time
    python -m benchmarks.step_time --families cifar10_fast --steps 50 --rounds 5
    python -m benchmarks.step_time --against PATH

"fit" is `train.py fit` on a shipped config: its callbacks, logger and progress bar in a terminal, without validation
and without what comes at the end of an epoch. "bare loop" is `benchmarks.bare_loop`: the same batches, augmentation,
loss, precision, optimizers, schedules and averages of weights, without the trainer. The overhead is what fit takes
beyond that, by the clock and in CPU time of all cores, which other work on the machine disturbs less. "same weights"
says whether both, from the same seed, end with equal weights, to the bit.

PATH is another checkout of this project, such as an older one. It runs its own code with its own config of that name:
where the two configs say different things, so the steps do.

Every figure is of a process of its own, on the CPU, with OMP_NUM_THREADS threads. Contestants take turns, in reverse
order every second round; overhead and ratios are of one round each, given as their median and range. The steps of a
run make up one epoch: a config that shows small images at first does so in its first steps here as well. Logs are
written as often as the config says, by default every 50 steps: fewer --steps hold none of that. Images are digits from
fonts, repeated where an epoch needs more.
"""

import argparse
import errno
import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.command import as_command
from cli.publication import machine
from envs.arguments import one_or_more

HERE = Path(__file__).parent.parent
CLOCK = Path(__file__).parent / "step_clock.py"
FONTS = ("--data.source", "fonts")
FAMILIES = {  # configs, and what makes them train without a data set
    "mnist_mlp": FONTS,
    "cifar10_fast": FONTS,
    "sorting_encoder_decoder": (),
    "pig_latin_decoder": (),
    "svhn_gan": FONTS,
    "mnist_ddpm": FONTS,
    "pusht": (),
    "cifar10_ddpm": FONTS,
}
CONTESTANTS = ("bare loop", "fit", "older fit")  # fit beside both that it is held against
ALONE = (
    "--trainer.logger",
    "false",
    "--trainer.enable_checkpointing",
    "false",
    "--trainer.enable_progress_bar",
    "false",
)
LAST_WORDS = 600  # characters
R = TypeVar("R")


class Run(NamedTuple):
    """Mean seconds of a step, by the clock and of CPU time, a digest of the weights at the end, and bytes of a GPU."""

    seconds: float
    cpu_seconds: float
    weights: str
    memory: int = 0


def timed(checkout: Path, family: str, callback: str, extra: tuple[str, ...], steps: int, warm_up: int) -> Run:
    """One run of a checkout's `train.py fit` on the CPU, with a callback that notes when each step begins.

    Raises ValueError with its last words where it ends before.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "clock.json"
        shutil.copy(CLOCK, folder)
        given = ("--trainer.accelerator", "cpu", *extra)
        command = [
            *(sys.executable, "-W", "ignore", "train.py"),
            *words(family, steps, warm_up, folder, given),
            *(f"--trainer.callbacks+={callback}", f"--trainer.callbacks.out={out}"),
        ]
        environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1"}
        said = in_a_terminal(command, checkout, environment | {"TERM": "xterm-256color", "COLUMNS": "120"})
        if not out.exists():
            raise ValueError(f"{family} in {checkout} ended before its last step: {said[-LAST_WORDS:]}")
        return read(out, warm_up)


def words(family: str, steps: int, warm_up: int, folder: str, extra: tuple[str, ...]) -> list[str]:
    """The words of a `train.py fit` that steps so often and one batch more, or an epoch where that is less.

    Nothing is validated.
    """
    return [
        *("fit", "--config", f"configs/{family}.yaml", "--trainer.default_root_dir", folder),
        *("--trainer.max_epochs", "1", "--trainer.limit_train_batches", str(warm_up + steps + 1)),
        *("--trainer.limit_val_batches", "0", "--trainer.num_sanity_val_steps", "0"),
        *("--trainer.enable_model_summary", "false", *FAMILIES[family], *extra),
    ]


def read(out: Path, warm_up: int) -> Run:
    """What `benchmarks.step_clock` wrote, of the steps that count."""
    found = json.loads(out.read_text())
    counted = found["starts"][warm_up:]
    steps = len(counted) - 1
    seconds, cpu_seconds = ((end - start) / steps for start, end in zip(counted[0], counted[-1], strict=True))
    return Run(seconds, cpu_seconds, found["weights"], found.get("memory", 0))


def in_a_terminal(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run a command as one types it, so that a progress bar is drawn, and return what it wrote."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        written = bytearray()
        try:
            while chunk := os.read(ours, 65536):
                written += chunk
        except OSError as error:
            if error.errno != errno.EIO:  # so Linux says that nobody writes any more
                raise
        finally:
            os.close(ours)
    return written.decode(errors="replace")


def race(contestants: dict[str, Callable[[], R]], rounds: int, advance: Callable[[], None]) -> dict[str, list[R]]:
    """The runs of each contestant, one a round, in the order A B B A."""
    runs: dict[str, list[R]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            runs[name].append(contestants[name]())
            advance()
    return runs


def contestants_of(family: str, steps: int, warm_up: int, against: Path | None) -> dict[str, Callable[[], Run]]:
    fit = partial(timed, family=family, callback="step_clock.StepClock", extra=(), steps=steps, warm_up=warm_up)
    bare = partial(fit, callback="benchmarks.bare_loop.BareLoop", extra=ALONE)
    runs = [partial(bare, HERE), partial(fit, HERE), *([partial(fit, against)] if against else [])]
    return dict(zip(CONTESTANTS, runs, strict=False))


def cells(runs: list[Run], others: list[Run], form: Callable[[float], str]) -> list[str]:
    """Milliseconds of both, the ratio of the first to the second by the clock and of CPU time, and whether they agree.

    `form` says a ratio in words. Runs and others are of the same rounds.
    """
    both = [f"{1000 * median(run.seconds for run in own):.1f}" for own in (runs, others)]
    pairs = list(zip(runs, others, strict=True))
    clock = [run.seconds / other.seconds for run, other in pairs]
    cpu = [run.cpu_seconds / other.cpu_seconds for run, other in pairs]
    alike = len({run.weights for run in [*runs, *others]}) == 1
    return [*both, *(spread(ratios, form) for ratios in (clock, cpu)), "yes" if alike else "no"]


def spread(ratios: list[float], form: Callable[[float], str]) -> str:
    return f"{form(median(ratios))}\n{form(min(ratios))} to {form(max(ratios))}"


def overhead(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f}"


def other_checkout(text: str) -> Path:
    path = Path(text).resolve()
    if not (path / "train.py").is_file():
        raise argparse.ArgumentTypeError(f"{text} holds no train.py: name the folder of a checkout of this project")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), metavar="CONFIG")
    parser.add_argument("--steps", type=one_or_more, default=20, help="steps of a run that count")
    parser.add_argument("--warm-up", type=one_or_more, default=3, help="steps before them that do not count")
    parser.add_argument("--rounds", type=one_or_more, default=3, help="runs of each")
    parser.add_argument("--against", type=other_checkout, help="another checkout of this project")
    args = parser.parse_args()
    console = Console()
    title = f"milliseconds of a training step: {args.steps} steps, {args.rounds} rounds"
    of_loop = Table("config", "fit", "bare loop", "overhead, %", "of CPU time, %", "same weights", title=title)
    of_older = Table("config", "fit", "older fit", "fit to older", "of CPU time", "same weights", title=title)
    with Progress(console=console, transient=True) as bar:
        for family in args.families:
            contestants = contestants_of(family, args.steps, args.warm_up, args.against)
            task = bar.add_task(family, total=args.rounds * len(contestants))
            bare, fit, *older = race(contestants, args.rounds, partial(bar.advance, task)).values()
            of_loop.add_row(family, *cells(fit, bare, overhead))
            for others in older:
                of_older.add_row(family, *cells(fit, others, "{:.3f}".format))
    console.print(of_loop, *([of_older] if args.against else []), sep="\n")
    console.print(f"{machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}", highlight=False)


if __name__ == "__main__":
    as_command(main)
