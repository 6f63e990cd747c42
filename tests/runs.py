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
    "--trainer.max_epochs 2 --trainer.limit_train_batches 4 --trainer.limit_val_batches 2 "
    "--trainer.check_val_every_n_epoch 1 --trainer.log_every_n_steps 1 --trainer.enable_model_summary false"
).split()
SINCE_THE_PROCESS_BEGAN = re.compile(r".*\||train/(time|batches|samples)$")  # what Lightning's ThroughputMonitor logs


class Stop(L.Callback):
    """Sends this process SIGTERM while it trains on a batch, counted from 1 over all epochs."""

    def __init__(self, batch: int):
        self.batch = batch

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.fit_loop.epoch_loop.total_batch_idx + 1 == self.batch:
            os.kill(os.getpid(), signal.SIGTERM)


def stop_at(batch: int) -> list[str]:
    return ["--trainer.callbacks+=tests.runs.Stop", f"--trainer.callbacks.batch={batch}"]


def fit(config: str, *words: str, tiny: bool = True) -> None:
    """`python train.py fit` of a short run of a family, within this process and the current folder."""
    given = [*FAMILIES[config].words(tiny), *SHORT, *words]
    train.main(["fit", "--config", str(ROOT / f"configs/{config}.yaml"), *given])


def stopped(config: str, *words: str, tiny: bool = True) -> None:
    """The same, of a run that is told to stop."""
    with pytest.raises(SystemExit) as exit_:
        fit(config, *words, tiny=tiny)
    assert exit_.value.code == 128 + signal.SIGTERM


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
        return found + [d for name in ours.keys() & theirs.keys() for d in differences(ours[name], theirs[name], f"{where}.{name}")]
    if isinstance(ours, list):
        found = [] if len(ours) == len(theirs) else [f"{where}: {len(ours)} and {len(theirs)} items"]
        return found + [d for i, pair in enumerate(zip(ours, theirs)) for d in differences(*pair, f"{where}[{i}]")]
    return [] if ours == theirs else [f"{where}: {ours!r} and {theirs!r}"]
