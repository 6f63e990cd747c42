"""Seconds to 94 % on CIFAR-10: `configs/cifar10_fast.yaml` against the record script, on this machine, in one run.

    python -m benchmarks.cifar10_speed PATH_TO_AIRBENCH

PATH_TO_AIRBENCH is a clone of https://github.com/KellerJordan/cifar10-airbench. Its airbench94_muon.py is written for
an NVIDIA GPU; a changed copy runs here: on the CPU, weights in float32, layers under autocast to bfloat16, nothing
compiled. The clock of both stands still while accuracy is measured after each epoch, and counts the last test with its
views. Loading data and imports do not count. The contestants take turns, one seed each a round.

Writes runs/cifar10_speed/race.png: accuracy over time.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import lightning as L
import torch
from jsonargparse import ArgumentParser
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.command import as_command
from benchmarks.step_clock import wait
from checkpoints.pretrained import read_config
from cli.freed_memory import keep_freed_memory
from datamodules.cifar10 import CIFAR10
from lightning_modules.classifier import Classifier

SCRIPT = "airbench94_muon.py"
CONFIG = Path("configs/cifar10_fast.yaml")
OUT = Path("runs/cifar10_speed")
CHANGES = {  # in the record script: what is replaced, and by what
    "import uuid\n": "import time, uuid\n",
    "@torch.compile\n": "",
    'map_location=torch.device("cuda")': 'map_location="cpu"',
    "self.images.half()": "self.images.float()",
    "mod.half()": "mod.float()",
    "starter = torch.cuda.Event(enable_timing=True)": "starter = 0.0",
    "    ender = torch.cuda.Event(enable_timing=True)\n": "",
    "        starter.record()": "        nonlocal starter\n        starter = time.perf_counter()",
    "        ender.record()\n        torch.cuda.synchronize()\n": "",
    "1e-3 * starter.elapsed_time(ender)": "time.perf_counter() - starter",
    "outputs = model(inputs, whiten_bias_grad=(step < whiten_bias_train_steps))": (
        "outputs = model(inputs, whiten_bias_grad=(step < whiten_bias_train_steps)).float()"
    ),
    "CifarNet().cuda()": "CifarNet()",
    'model.compile(mode="max-autotune")': 'model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)',
    '    main("warmup", model)\n': "    torch.manual_seed(int(sys.argv[1]))\n",
    "range(200)": "range(1)",
}


class Race(NamedTuple):
    """One training: seconds and accuracy after each epoch, then seconds and accuracy of the last test."""

    seconds: list[float]
    accuracies: list[float]
    total: float
    plain: float
    with_views: float


def adapted(script: str) -> str:
    """The record script for a CPU. Raises ValueError where it is not the script that is known here."""
    for old, new in CHANGES.items():
        if old not in script:
            raise ValueError(f"{SCRIPT} lacks {old.strip()!r}: it is another version than this benchmark knows")
        script = script.replace(old, new)
    return script


def record(script: str, folder: Path, seed: int) -> Race:
    """The changed script in a process of its own; its progress is shown as it comes."""
    (folder / SCRIPT).write_text(script)
    command = [sys.executable, "-W", "ignore", SCRIPT, str(seed)]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment) as process:
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        raise ValueError(f"{SCRIPT} ended with exit code {process.returncode}")
    rows = [re.findall(r"\|\s+([\d.]+|eval)?\s+(?=\|)", line) for line in lines]
    epochs = [[float(cell) for cell in row if cell] for row in rows if len(row) == 6 and row[1] not in ("", "eval")]
    last = next(row for row in rows if "eval" in row)
    # columns: run, epoch, train_acc, val_acc, tta_val_acc, time_seconds
    seconds, accuracies = [row[-1] for row in epochs], [row[-2] for row in epochs]
    return Race(seconds, accuracies, float(last[5]), accuracies[-1], float(last[4]))


class Clock(L.Callback):
    """Seconds of training, and the test images' accuracy after each epoch while the clock stands still."""

    def __init__(self):
        self.elapsed, self.seconds, self.accuracies = 0.0, [], []

    def on_train_start(self, trainer, module):
        trainer.datamodule.setup("test")
        wait()
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer, module):
        wait()
        self.elapsed += time.perf_counter() - self.start
        module.eval()
        right, data = 0, trainer.datamodule
        with torch.inference_mode(), trainer.precision_plugin.forward_context():
            for batch in data.test_dataloader():
                predicted = module(batch["image"].to(module.device)).argmax(1)
                right += (predicted == batch["label"].to(module.device)).sum().item()
        module.train()
        self.seconds.append(self.elapsed)
        self.accuracies.append(right / len(data.test_set))
        print(f"epoch {trainer.current_epoch + 1}: {self.accuracies[-1]:.2%} after {self.elapsed:.0f} s", flush=True)
        self.start = time.perf_counter()


def built(kind: type, part: dict, **options):
    """The object that a part of a config names by its class_path, made with further arguments."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "part")
    given = part | {"init_args": part["init_args"] | options}
    return parser.instantiate(parser.parse_object({"part": given})).part


def ours(config: dict, seed: int) -> tuple[Race, float]:
    """One training as the config says, and its training FLOPs (forward and backward of the network)."""
    L.seed_everything(seed, verbose=False)
    data = built(L.LightningDataModule, config["data"])
    follows = {"shape": list(data.shape), "num_classes": len(data.class_names)}
    module = built(Classifier, config["model"], **follows)
    data.setup("test")
    clock = Clock()
    options = {name: config["trainer"][name] for name in ("max_epochs", "precision")}
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", callbacks=[clock], **options, **quiet)
    trainer.fit(module, data)
    start = time.perf_counter()
    (metrics,) = trainer.test(module, data, verbose=False)
    total = clock.elapsed + time.perf_counter() - start
    race = Race(clock.seconds, clock.accuracies, total, metrics["test/accuracy_plain"], metrics["test/accuracy"])
    return race, training_flops(module, trainer.global_step, config["data"]["init_args"]["batch_size"])


def training_flops(module: Classifier, steps: int, batch: int) -> float:
    """FLOPs of forward and backward over all images that were trained on, small and whole ones."""

    def of_one(size: int) -> float:
        pixels = torch.randn(8, module.hparams.shape[0], size, size)
        with FlopCounterMode(display=False) as counter:
            module.network(pixels).sum().backward()
        return counter.get_total_flops() / len(pixels)

    resizing, whole = module.progressive_resizing, module.hparams.shape[-1]
    if resizing is None:
        return steps * batch * of_one(whole)
    return steps * batch * (resizing.share * of_one(resizing.size) + (1 - resizing.share) * of_one(whole))


def gemm_peak(size: int = 2048, rounds: int = 10) -> float:
    """FLOP/s of a bfloat16 matrix product, the best of some rounds."""
    a, b = torch.randn(2, size, size).bfloat16()
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def plot(races: dict[str, list[Race]], path: Path) -> None:
    figure = Figure((7, 4), layout="tight")
    axes = figure.subplots()
    for color, (name, runs) in zip(("tab:blue", "tab:orange"), races.items(), strict=True):
        for number, run in enumerate(runs):
            label = name if not number else None
            axes.plot(run.seconds, [100 * a for a in run.accuracies], "o-", color=color, label=label, markersize=3)
            axes.plot(run.total, 100 * run.with_views, "*", color=color, markersize=12)
    axes.axhline(94, color="grey", linewidth=0.8)
    axes.set(xlabel="seconds of training", ylabel="test accuracy, %", ylim=(60, 96))
    axes.set_title("stars: at the end, with test-time augmentation")
    axes.legend()
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("airbench", type=Path, help="a clone of the record's repository")
    parser.add_argument("--rounds", type=int, default=1, help="trainings of each")
    args = parser.parse_args()
    path = args.airbench / SCRIPT
    if not path.is_file():
        sys.exit(f"there is no {path}; name a clone of https://github.com/KellerJordan/cifar10-airbench")
    script, config = adapted(path.read_text()), read_config(CONFIG)
    keep_freed_memory()  # as train.py does
    peaks, flops = [gemm_peak()], 0.0
    races: dict[str, list[Race]] = {"Firstlight": [], "record script": []}
    with tempfile.TemporaryDirectory() as folder:
        save_for_record(Path(folder) / "cifar10")
        for seed in range(args.rounds):
            race, flops = ours(config, seed)
            races["Firstlight"].append(race)
            peaks.append(gemm_peak())
            races["record script"].append(record(script, Path(folder), seed))
            peaks.append(gemm_peak())
    Console().print(summary(races, flops, max(peaks)))
    plot(races, OUT / "race.png")


def save_for_record(folder: Path) -> None:
    """The images as the record script keeps them on disk."""
    folder.mkdir()
    data = CIFAR10(val_share=0)
    data.setup()
    for name, images in [("train", data.train_set), ("test", data.test_set)]:
        content = {
            "images": images.images.permute(0, 2, 3, 1),
            "labels": images.labels,
            "classes": data.class_names,
        }
        torch.save(content, folder / f"{name}.pt")


def summary(races: dict[str, list[Race]], flops: float, peak: float) -> Table:
    table = Table(
        "", "Firstlight", "record script", "ratio", title=f"CIFAR-10, {torch.get_num_threads()} threads, means"
    )

    def row(what: str, of_race, form: str) -> None:
        own, other = (mean(of_race(race) for race in runs) for runs in races.values())
        table.add_row(what, f"{own:{form}}", f"{other:{form}}", f"{own / other:.2f}" if form != ".2%" else "")

    row("epochs", lambda race: len(race.seconds), ".0f")
    row("seconds per epoch", lambda race: race.seconds[-1] / len(race.seconds), ".1f")
    row("seconds to the last accuracy", lambda race: race.total, ".0f")
    row("test accuracy, image alone", lambda race: race.plain, ".2%")
    row("test accuracy, views averaged", lambda race: race.with_views, ".2%")
    rate = flops / mean(race.seconds[-1] for race in races["Firstlight"])
    table.add_row("training GFLOP/s", f"{rate / 1e9:.0f}", "", "")
    table.add_row("share of the bf16 GEMM peak", f"{rate / peak:.0%}", "", f"peak {peak / 1e9:.0f}")
    return table


if __name__ == "__main__":
    as_command(main)
