"""Whole runs of `train.py fit`: stopped, resumed, and compared to the bit."""

import contextlib
import os
import re
import shlex
import signal
from pathlib import Path

import lightning as L
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train
from tests.families import FAMILIES

ROOT = Path(__file__).parent.parent
SHORT = shlex.split(
    "--trainer.max_epochs 2 --trainer.limit_train_batches 4 --trainer.limit_val_batches 2 "
    "--trainer.check_val_every_n_epoch 1 --trainer.log_every_n_steps 1 --trainer.enable_model_summary false"
)
# What Lightning's ThroughputMonitor logs.
SINCE_THE_PROCESS_BEGAN = re.compile(r".*\||(train|validate)/(time|batches|samples)$")


class Stop(L.Callback):
    """Sends this process SIGTERM while it trains on a batch, counted from 1 over all epochs."""

    def __init__(self, batch: int):
        self.batch = batch

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.fit_loop.epoch_loop.total_batch_idx + 1 == self.batch:
            os.kill(os.getpid(), signal.SIGTERM)


class Spoil(L.Callback):
    """Spoils a loss in one batch, counted from 1 over all epochs.

    Args:
        kind: what becomes of the loss, "nan" or "inf"; "slope" leaves it as it is and makes its gradient NaN.
        method: of the module, that returns the loss.
    """

    def __init__(self, batch: int, kind: str, method: str = "training_step"):
        self.batch, self.kind, self.method = batch, kind, method

    def on_fit_start(self, trainer, module):
        original = getattr(module, self.method)

        def spoiled(*args):
            loss = original(*args)
            if trainer.fit_loop.epoch_loop.total_batch_idx + 1 != self.batch:
                return loss
            return loss + (0 * loss).sqrt() if self.kind == "slope" else loss * float(self.kind)  # sqrt: 1 / 0, times 0

        setattr(module, self.method, spoiled)


def stop_at(batch: int) -> list[str]:
    return ["--trainer.callbacks+=tests.runs.Stop", f"--trainer.callbacks.batch={batch}"]


def spoil_at(batch: int, kind: str, method: str = "training_step") -> list[str]:
    given = {"batch": batch, "kind": kind, "method": method}
    return ["--trainer.callbacks+=tests.runs.Spoil", *(f"--trainer.callbacks.{k}={v}" for k, v in given.items())]


def words_of(config: str, *words: str, tiny: bool = True) -> list[str]:
    """The command line of a short run of a family. A tiny one comes without the callbacks that draw."""
    given = [*FAMILIES[config].words(tiny, quiet=tiny), *SHORT, *words]
    return ["fit", "--config", str(ROOT / f"configs/{config}.yaml"), *given]


def fit(config: str, *words: str, tiny: bool = True) -> None:
    """`python train.py fit` of a short run of a family, within this process and the current folder."""
    train.main(words_of(config, *words, tiny=tiny))


def stopped(config: str, *words: str, tiny: bool = True) -> int:
    """The same, of a run that ends early; returns its exit code."""
    try:
        train.command_line(words_of(config, *words, tiny=tiny))
    except SystemExit as exit_:
        return exit_.code
    return 0


def checkpoint(folder: Path, name: str = "last") -> dict:
    """All that a checkpoint holds: weights, averages, optimizers, schedules, loops, random state, callbacks.

    But the metric that a ModelCheckpoint saw last: Lightning writes it and never reads it back.
    """
    content = torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)
    for state in content["callbacks"].values():
        state.pop("current_score", None)
    return content


def scalars(*folders: Path) -> dict[str, list[tuple[int, float]]]:
    """What the runs in these folders logged, one after the other: {tag: [(step, value), ...]}."""
    logged: dict[str, list[tuple[int, float]]] = {}
    for folder in folders:
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        for tag in events.Tags()["scalars"]:
            if tag != "hp_metric" and not SINCE_THE_PROCESS_BEGAN.match(tag):
                logged.setdefault(tag, []).extend((event.step, event.value) for event in events.Scalars(tag))
    return logged


def differences(ours, theirs, where: str = "") -> list[str]:
    """Where two trees of plain values and tensors are not the same to the bit."""
    if type(ours) is not type(theirs):
        return [f"{where}: {type(ours).__name__} and {type(theirs).__name__}"]
    if isinstance(ours, torch.Tensor):
        same = ours.dtype == theirs.dtype and torch.equal(ours, theirs)
        return [] if same else [where]
    if isinstance(ours, dict):
        found = [f"{where}.{name}: on one side only" for name in ours.keys() ^ theirs.keys()]
        return found + [
            d for name in ours.keys() & theirs.keys() for d in differences(ours[name], theirs[name], f"{where}.{name}")
        ]
    if isinstance(ours, list | tuple):
        found = [] if len(ours) == len(theirs) else [f"{where}: {len(ours)} and {len(theirs)} items"]
        return found + [
            d for i, pair in enumerate(zip(ours, theirs, strict=False)) for d in differences(*pair, f"{where}[{i}]")
        ]
    both_nan = ours != ours and theirs != theirs  # such as the accuracy of a class that no image has
    return [] if ours == theirs or both_nan else [f"{where}: {ours!r} and {theirs!r}"]


def resumed_differs(config: str, stop: int, root: Path, *words: str, tiny: bool = True) -> list[str]:
    """What a run that is stopped in a batch, counted over all epochs, and resumed leaves other than one that was never
    stopped: in its checkpoints, its log and its files. The latter run stays in root/whole for the next stop."""
    whole = undisturbed(config, root / "whole", *words, tiny=tiny)
    code, before, parted = parted_run(config, root / f"stopped-{stop}", words, stop_at(stop), tiny)
    found = [] if code == 128 + signal.SIGTERM else [f"exit code {code}"]
    if before >= checkpoint(parted)["global_step"]:
        found.append(f"stopped at step {before}, at the end")
    for name in ("last", "best"):
        if (whole / f"checkpoints/{name}.ckpt").exists():
            found += differences(checkpoint(parted, name), checkpoint(whole, name), name)
    found += differences(scalars(parted), scalars(whole), "log")
    names = [sorted(path.name for path in run.rglob("*") if "tfevents" not in path.name) for run in (parted, whole)]
    configs = [(run / "config.yaml").read_text() for run in (parted, whole)]
    return found + differences(names[0], names[1], "files") + differences(*configs, "config.yaml")


def undisturbed(config: str, root: Path, *words: str, tiny: bool = True) -> Path:
    """The folder of a run that nothing stops, in a folder where it stays for the next call."""
    if not root.exists():
        root.mkdir()
        with contextlib.chdir(root):
            fit(config, *words, tiny=tiny)
    return root / "runs" / config / "version_0"


def parted_run(config: str, root: Path, words, stops, tiny: bool = True) -> tuple[int, int, Path]:
    """A run of these words that further ones stop, and that goes on without those: the exit code of its first part, the
    step where that ended, and the run's folder."""
    root.mkdir()
    folder = root / "runs" / config / "version_0"
    with contextlib.chdir(root):
        code = stopped(config, *words, *stops, tiny=tiny)
        before = checkpoint(folder)["global_step"]
        fit(config, *words, "--ckpt_path", "last", tiny=tiny)
    return code, before, folder
