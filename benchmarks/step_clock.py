"""When each training step of a `train.py fit` begins, as a callback that any checkout of this project can load.

It imports nothing of this project, so that a copy of this one file serves an older checkout as well.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch


class StepClock(L.Callback):
    """Notes when each batch begins, and ends the process when the last one does.

    The time from one beginning to the next holds all that a step takes: reading and changing the batch, the module, the
    optimizer, and every callback and logger. The last batch, which has no next one, is not trained on.

    Kernels of a GPU run on while Python prepares the next ones, so the clock waits for them before the first step that
    counts and after the last one, and not in between.

    Args:
        out: the JSON file to write: {"starts": [[seconds, seconds of CPU time], ...], "weights": a digest of those at
            the end, "memory": bytes that the steps that count held at most on an accelerator, 0 on a CPU}.
        warm_up: steps at the beginning that do not count.
    """

    def __init__(self, out: str, warm_up: int = 0):
        self.out, self.warm_up, self.starts = out, warm_up, []

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        lengthen(trainer)

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        note(self.starts, self.warm_up, trainer)
        if len(self.starts) == trainer.num_training_batches:
            write(self.out, self.starts, module)
            raise SystemExit


def lengthen(trainer: L.Trainer) -> None:
    """Repeat the images of the training set where they are too few for one epoch of `limit_train_batches`."""
    data = cast(Any, trainer).datamodule
    images = getattr(data, "train_set", None)
    if not hasattr(images, "subset"):
        return
    rows = trainer.limit_train_batches * data.hparams.batch_size * trainer.world_size
    if len(images) < rows:
        data.train_set = images.subset(torch.arange(rows) % len(images))


def note(starts: list[tuple[float, float]], warm_up: int, trainer: L.Trainer) -> None:
    """Add the time at which a step begins."""
    if len(starts) in (warm_up, trainer.num_training_batches - 1):
        wait()
    if len(starts) == warm_up and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    starts.append(now())


def now() -> tuple[float, float]:
    """Seconds on the clock, and those that all cores spent on this process."""
    return time.perf_counter(), time.process_time()


def wait() -> None:
    """Until an accelerator has done all that it was told."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def write(out: str, starts: list[tuple[float, float]], module: torch.nn.Module) -> None:
    """The file of `StepClock`."""
    digest = hashlib.sha256()
    for weight in module.parameters():
        digest.update(weight.detach().cpu().numpy().tobytes())
    memory = torch.cuda.max_memory_allocated() if next(module.parameters()).is_cuda else 0
    Path(out).write_text(json.dumps({"starts": starts, "weights": digest.hexdigest(), "memory": memory}))
