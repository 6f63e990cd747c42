"""How far a run can be trusted: the figures of docs/reliability.md.

    python -m benchmarks.reliability resumes
    python -m benchmarks.reliability resumes --contestant plain
    python -m benchmarks.reliability kills
    python -m benchmarks.reliability kills --contestant plain
    python -m benchmarks.reliability numbers
    python -m benchmarks.reliability numbers --contestant plain
    python -m benchmarks.reliability memory

Both contestants learn digits drawn from fonts by an MLP of 1.9 M parameters: Firstlight by `configs/mnist_mlp.yaml`,
plain Lightning by `benchmarks/plain_lightning.py`. What a process that is killed leaves is held against the checkpoints
of a run that nobody disturbs.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import random
import shlex
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from multiprocessing.process import BaseProcess
from pathlib import Path

import lightning as L
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import train
from benchmarks import plain_lightning
from tests.families import FAMILIES
from tests.runs import ROOT, SHORT, differences, resumed_differs, spoil_at

EPOCHS, BATCHES = 30, 3  # batches of 512 in an epoch: checkpoints come often
PROCESSES = multiprocessing.get_context("forkserver")  # each is new, from one that has imported what all need
PROCESSES.set_forkserver_preload(
    ["train", "benchmarks.plain_lightning", "lightning_modules.mlp_classifier", "datamodules.mnist"]
)
LONG = (
    "--trainer.max_epochs -1 --trainer.check_val_every_n_epoch null --trainer.val_check_interval 500 "
    "--trainer.limit_val_batches 2 --trainer.enable_model_summary false"
)
WIDTH = 160  # columns of a table
STOPS = (1, 4, 6)  # batches of a run of two epochs of four: within the first, at its end, within the second
LOSSES = {"svhn_gan": ["discriminator_loss", "generator_loss"]}  # two a batch
CHEAPER = {"mnist_ddpm": "--model.sampling_steps 2", "pusht": "--trainer.callbacks.val_episodes 2"}
QUIET = "--trainer.precision 32-true --trainer.callbacks [] --trainer.enable_model_summary false"


@dataclass
class Contestant:
    """A program that starts a training run in the current folder, and as well goes on with one."""

    main: Callable[[list[str]], object]
    words: list[str]
    checkpoints: str  # where `last.ckpt` lies, from that folder
    partial: str  # the name of a file in which a checkpoint is written until it is whole

    def start(self, folder: Path, temporary: Path, fuse: tuple[int, float] | None = None) -> BaseProcess:
        temporary.mkdir(parents=True, exist_ok=True)
        process = PROCESSES.Process(target=run, args=(self.main, self.words, folder, temporary, self.partial, fuse))
        process.start()
        return process

    def last(self, folder: Path) -> Path | None:
        return max(folder.glob(self.checkpoints), default=None)


def run(
    main: Callable[[list[str]], object],
    words: list[str],
    folder: Path,
    temporary: Path,
    partial: str = "",
    fuse: tuple[int, float] | None = None,
) -> None:
    """In a process of its own: what the program says goes to output.txt."""
    os.chdir(folder)
    tempfile.tempdir = str(temporary)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    warnings.filterwarnings("ignore")
    if fuse:
        light(*fuse, partial)
    main(words)


def light(number: int, seconds: float, partial: str) -> None:
    """kill -9 for this process, so many seconds after its number-th write of a checkpoint began."""
    writes = itertools.count(1)

    def burn() -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    def note(event: str, arguments: tuple) -> None:
        if event != "open" or arguments[1] != "w" or not isinstance(arguments[0], str):
            return
        if fnmatch(os.path.basename(arguments[0]), partial) and next(writes) == number:
            threading.Thread(target=burn).start()

    sys.addaudithook(note)


def contestants(epochs: int) -> dict[str, Contestant]:
    words = f"fit --config {ROOT}/configs/mnist_mlp.yaml --data.source fonts {QUIET}"
    words += f" --trainer.max_epochs {epochs} --trainer.limit_train_batches {BATCHES}"
    return {
        "firstlight": Contestant(
            train.main,
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
    """What the kills of one contestant came to."""

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


def opened(path: Path) -> dict | None:
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # whatever a torn file raises
        Console().print(f"{path} does not open: {error}"[:200])
        return None


def kills(name: str, count: int, seed: int, temporary: str | None) -> Count:
    """Kill a training run, look at what is left, go on from there, and so on; every other kill while it writes."""
    contestant, found, draw = contestants(EPOCHS)[name], Count(), random.Random(seed)
    with tempfile.TemporaryDirectory() as root, Progress() as bar:
        task = bar.add_task(f"{name}: a run that nobody disturbs", total=count)
        (first := PROCESSES.Process(target=int)).start()
        first.join()  # after the imports, so that they do not count as a run's start
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
                    found.before_the_first += 1
                    found.whole, found.equal = found.whole + 1, found.equal + 1
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
                found.said.append((folder / "output.txt").read_text().strip().splitlines()[-1])
    return found


def kills_table(found: dict[str, Count]) -> Table:
    table = Table(title="kill -9")
    for column in (
        "",
        "kills",
        "in a write",
        "before the first checkpoint",
        "checkpoint opens",
        "and equals the undisturbed run's",
        "runs that ended with the same weights",
    ):
        table.add_column(column)
    for name, count in found.items():
        ended = f"{count.equal_runs} of {count.runs}"
        table.add_row(
            name, *map(str, (count.kills, count.while_writing, count.before_the_first, count.whole, count.equal, ended))
        )
        for line in count.said:
            Console().print(line)
    return table


def resumes(name: str, families: list[str]) -> Table:
    """Runs of two epochs of four batches, stopped and resumed: do they end like one that never stopped?"""
    table = Table("", "stopped after batch", "equal to the bit", title="resumed runs")
    with Progress() as bar, tempfile.TemporaryDirectory() as root:
        if name == "plain":
            rows = {"plain Lightning": plain_resumes(Path(root), bar)}
        else:
            rows = {family: family_resumes(family, Path(root, family)) for family in bar.track(families)}
    for row, found in rows.items():
        table.add_row(row, ", ".join(map(str, found)), f"{sum(found.values())} of {len(found)}")
    return table


def family_resumes(family: str, root: Path) -> dict[int, bool]:
    """Whether everything is equal: checkpoints, log and files (`tests.runs.resumed_differs`)."""
    root.mkdir()
    process = PROCESSES.Process(target=run, args=(compare_resumes, [family], root, root))
    process.start()
    process.join()
    found = json.loads((root / "differences.json").read_text())
    for stop, lines in found.items():
        for line in lines:
            Console().print(f"{family}, stopped after {stop}: {line}")
    return {int(stop): not lines for stop, lines in found.items()}


def compare_resumes(words: list[str]) -> None:
    found = {stop: resumed_differs(*words, stop, Path.cwd()) for stop in STOPS}
    Path("differences.json").write_text(json.dumps(found))


def plain_resumes(root: Path, bar: Progress) -> dict[int, bool]:
    """Whether the weights are equal."""
    words = ["--epochs", "2", "--batches", "4", "--every", "1"]

    def ended(folder: Path, *more: str) -> dict:
        folder.mkdir()
        process = PROCESSES.Process(target=run, args=(plain_lightning.main, [*words, *more], folder, folder))
        process.start()
        process.join()
        return opened(folder / "checkpoints/last.ckpt")["state_dict"]

    whole = ended(root / "whole")
    if differences(ended(root / "again"), whole):
        raise RuntimeError("two runs that nobody stopped differ: nothing can be said about those that are resumed")
    kept = {stop: str(root / f"whole/kept/step={stop}.ckpt") for stop in STOPS}
    return {
        stop: not differences(ended(root / str(stop), "--checkpoint", path), whole)
        for stop, path in bar.track(kept.items())
    }


def numbers(name: str, families: list[str]) -> Table:
    """A loss that becomes NaN in the second of two epochs: how does the run end, and is its last checkpoint good?"""
    table = Table("", "loss", "exit code", "last line", "last checkpoint", title="a loss that is NaN")
    with Progress() as bar, tempfile.TemporaryDirectory() as root:
        cases = [(family, loss) for family in families for loss in LOSSES.get(family, ["training_step"])]
        for number, (family, loss) in enumerate(bar.track(cases if name == "firstlight" else [("plain", "loss")])):
            (folder := Path(root, str(number))).mkdir()
            if name == "firstlight":
                short = [*FAMILIES[family].words(), *SHORT, *spoil_at(6, "nan", loss)]
                main, words = train.main, ["fit", "--config", str(ROOT / f"configs/{family}.yaml"), *short]
            else:
                main, words = plain_lightning.main, ["--epochs", "2", "--batches", "4", "--nan-at", "5"]
            process = PROCESSES.Process(target=run, args=(main, words, folder, folder))
            process.start()
            process.join()
            content = opened(next(folder.rglob("last.ckpt")))
            finite = all(weight.isfinite().all() for weight in content["state_dict"].values())
            said = (folder / "output.txt").read_text().strip().splitlines()[-1]
            state = f"step {content['global_step']}, {'good' if finite else 'weights NaN'}"
            table.add_row(family, loss, str(process.exitcode), said[:70], state)
    return table


class Usage(L.Callback):
    """Every 100 batches a row of usage.csv: batches, resident memory (MiB), open files, and the run folder's files and
    MiB without its checkpoints."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        batches = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        if batches % 100:
            return
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        files = [path for path in Path(trainer.log_dir).rglob("*") if path.is_file() and path.suffix != ".ckpt"]
        row = (
            batches,
            pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
            len(os.listdir("/proc/self/fd")),
            len(files),
            sum(path.stat().st_size for path in files) / 2**20,
        )
        with Path("usage.csv").open("a") as table:
            table.write(",".join(f"{value:.3f}" for value in row) + "\n")


def memory(families: list[str], steps: int, warm_up: int) -> Table:
    """What tiny runs of so many batches use, with a validation every 500 and all pictures that they draw."""
    table = Table(title=f"{steps:,} training batches")
    for column in (
        "",
        f"MiB after {warm_up:,}",
        f"after {steps:,}",
        "drift per 1,000",
        "open files",
        "log: files, MiB",
    ):
        table.add_column(column)
    with Progress() as bar:
        for name in bar.track(families, description="training"):
            with tempfile.TemporaryDirectory() as root:
                rows = usage(name, steps, Path(root))
            warm = rows[rows[:, 0] >= warm_up]
            drift = 1000 * np.polyfit(warm[:, 0], warm[:, 1], 1)[0]
            files = " to ".join(f"{number:.0f}" for number in dict.fromkeys([warm[0, 2], warm[-1, 2]]))
            logged = f"{warm[0, 3]:.0f}, {warm[0, 4]:.2f} to {warm[-1, 3]:.0f}, {warm[-1, 4]:.2f}"
            table.add_row(name, f"{warm[0, 1]:.1f}", f"{warm[-1, 1]:.1f}", f"{drift:+.2f}", files, logged)
    return table


def usage(name: str, steps: int, folder: Path) -> np.ndarray:
    """The rows of `Usage` of a run."""
    words = [*FAMILIES[name].words(quiet=False), *shlex.split(CHEAPER.get(name, "")), *shlex.split(LONG)]
    config = str(ROOT / f"configs/{name}.yaml")
    command = ["fit", "--config", config, *words, "--trainer.callbacks+=benchmarks.reliability.Usage"]
    process, rows = PROCESSES.Process(target=run, args=(train.main, command, folder, folder)), folder / "usage.csv"
    process.start()
    while process.is_alive() and not (rows.exists() and len(rows.read_text().splitlines()) >= steps // 100):
        process.join(0.5)
    process.kill()  # what it does after its last batch is no part of this
    process.join()
    if not rows.exists():
        raise RuntimeError((folder / "output.txt").read_text()[-500:])
    return np.loadtxt(rows, delimiter=",", ndmin=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    figures = parser.add_subparsers(dest="figure", required=True)
    part = figures.add_parser("kills", help="kill -9, half of them while a checkpoint is written")
    part.add_argument("--contestant", choices=contestants(1), default="firstlight")
    part.add_argument("--kills", type=int, default=50)
    part.add_argument("--seed", type=int, default=0, help="of the moments")
    part.add_argument("--temporary", help="a folder of another file system for temporary files (TMPDIR)")
    part = figures.add_parser("resumes", help="is a resumed run the same run?")
    part.add_argument("--contestant", choices=contestants(1), default="firstlight")
    part.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    part = figures.add_parser("numbers", help="what a loss that is NaN does")
    part.add_argument("--contestant", choices=contestants(1), default="firstlight")
    part.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    part = figures.add_parser("memory", help="memory, open files and log over long runs")
    part.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    part.add_argument("--steps", type=int, default=2000)
    part.add_argument("--warm-up", type=int, default=600, help="batches before the first that counts")
    args = parser.parse_args()
    if args.figure == "resumes":
        Console(width=WIDTH).print(resumes(args.contestant, args.families))
    if args.figure == "numbers":
        Console(width=WIDTH).print(numbers(args.contestant, args.families))
    if args.figure == "memory":
        Console(width=WIDTH).print(memory(args.families, args.steps, args.warm_up))
    if args.figure == "kills":
        Console(width=WIDTH).print(
            kills_table({args.contestant: kills(args.contestant, args.kills, args.seed, args.temporary)})
        )


if __name__ == "__main__":
    main()
