"""What long runs use: memory, open files, and what they write beside checkpoints."""

import os
import shlex
import tempfile
from pathlib import Path

import lightning as L
import numpy as np
from rich.progress import Progress
from rich.table import Table

import train
from benchmarks.reliability import processes
from tests.families import FAMILIES
from tests.runs import ROOT

LONG = (
    "--trainer.max_epochs -1 --trainer.check_val_every_n_epoch null --trainer.val_check_interval 500 "
    "--trainer.limit_val_batches 2 --trainer.enable_model_summary false"
)
CHEAPER = {"mnist_ddpm": "--model.sampling_steps 2", "pusht": "--trainer.callbacks.val_episodes 2"}


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
            len(list(Path("/proc/self/fd").iterdir())),
            len(files),
            sum(path.stat().st_size for path in files) / 2**20,
        )
        with Path("usage.csv").open("a") as table:
            table.write(",".join(f"{value:.3f}" for value in row) + "\n")


def memory(families: list[str], steps: int, warm_up: int) -> Table:
    """What tiny runs of so many batches use, with a validation every 500 and all images that they draw."""
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
    command = ["fit", "--config", config, *words, "--trainer.callbacks+=benchmarks.reliability.memory.Usage"]
    process, rows = processes.start(train.command_line, command, folder), folder / "usage.csv"
    while process.is_alive() and not (rows.exists() and len(rows.read_text().splitlines()) >= steps // 100):
        process.join(0.5)
    process.kill()  # what it does after its last batch is not measured
    process.join()
    if not rows.exists():
        raise RuntimeError((folder / "output.txt").read_text()[-500:])
    return np.loadtxt(rows, delimiter=",", ndmin=2)
