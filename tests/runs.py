"""Whole runs of `train.py fit`: stopped, resumed, and compared to the bit."""

import os
import re
import signal
from pathlib import Path

import lightning as L
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train
from tests.families import FAMILIES

ROOT = Path(__file__).parent.parent
SHORT = (
    "--trainer.max_epochs 3 --trainer.limit_train_batches 4 --trainer.limit_val_batches 1 "
    "--trainer.check_val_every_n_epoch 1 --trainer.log_every_n_steps 1 --trainer.enable_model_summary false"
).split()
MEASURES_TIME = re.compile(r".*\|")  # tags of Lightning's ThroughputMonitor


class Stop(L.Callback):
    """Sends this process SIGTERM while it trains on a batch, counted from 1 over all epochs."""

    def __init__(self, batch: int):
        self.batch = batch

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.fit_loop.epoch_loop.total_batch_idx + 1 == self.batch:
            os.kill(os.getpid(), signal.SIGTERM)


def stop_at(batch: int) -> list[str]:
    return ["--trainer.callbacks+=tests.runs.Stop", f"--trainer.callbacks.batch={batch}"]


def fit(config: str, *words: str) -> None:
    """`python train.py fit` of a family, tiny, within this process and the current folder."""
    train.main(["fit", "--config", str(ROOT / f"configs/{config}.yaml"), *FAMILIES[config].words, *SHORT, *words])


def stopped(config: str, *words: str) -> None:
    """The same, of a run that is told to stop."""
    with pytest.raises(SystemExit) as exit_:
        fit(config, *words)
    assert exit_.value.code == 128 + signal.SIGTERM


def checkpoint(folder: Path, name: str = "last") -> dict:
    """A checkpoint of a run's folder, without what names that folder."""
    return _nameless(torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True))


def _nameless(value):
    if isinstance(value, dict):
        return {_nameless(name): _nameless(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nameless(item) for item in value]
    return re.sub(r"\S*version_\d+", "", value) if isinstance(value, str) else value


def scalars(*folders: Path) -> dict[str, list[tuple[int, float]]]:
    """What the runs in these folders logged, one after the other: {tag: [(step, value), ...]}."""
    logged: dict[str, list[tuple[int, float]]] = {}
    for folder in folders:
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        for tag in events.Tags()["scalars"]:
            if tag != "hp_metric" and not MEASURES_TIME.match(tag):
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
        return found + [d for name in ours.keys() & theirs.keys() for d in differences(ours[name], theirs[name], f"{where}.{name}")]
    if isinstance(ours, list):
        found = [] if len(ours) == len(theirs) else [f"{where}: {len(ours)} and {len(theirs)} items"]
        return found + [d for i, pair in enumerate(zip(ours, theirs)) for d in differences(*pair, f"{where}[{i}]")]
    return [] if ours == theirs else [f"{where}: {ours!r} and {theirs!r}"]
