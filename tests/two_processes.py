"""Runs of `train.py` on two processes of this machine, and callbacks that note what these saw."""

import contextlib
import multiprocessing
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import lightning as L
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

import train
from networks.vocabulary import PAD
from tests.test_train import ROOT

DDP = str(ROOT / "configs/with/ddp.yaml")
NOTED = ("began", "weights", "batch", "draws", "gradients", "rows", "validated", "metrics", "after")
DRAWS = [(torch, "randn"), (torch, "randint"), (torch, "rand"), (torch.Tensor, "uniform_")]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def _process(rank: int, folder: str, words: list[str], environment: dict[str, str], port: int, processes: int) -> None:
    os.chdir(folder)
    os.environ |= environment
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    os.environ |= {"NODE_RANK": "0", "LOCAL_RANK": str(rank)}
    torch.set_num_threads(1)
    with Path(f"output-{rank}.txt").open("w") as output, contextlib.redirect_stdout(output):
        train.command_line(words)


def together(folder: Path, words: list[str], processes: int = 2) -> None:
    """`train.py` with these words on several processes.

    They are forked from a process that has imported everything and computed nothing: one that has gone backward may
    have threads, which do not live through a fork. With other than two, the words must say so (`--trainer.devices`).
    """
    multiprocessing.set_forkserver_preload([train.__name__])
    given = (str(folder), [*words], dict(os.environ), free_port(), processes)
    mp.start_processes(_process, given, nprocs=processes, start_method="forkserver")


class Diary(L.Callback):
    """Notes the first step: weights before it, batch, random draws, gradients; the rows of every batch; the end.

    Each process writes what it saw to FOLDER/diary-RANK.pt.

    Args:
        folder: where to.
        frozen_norm: batch norm goes by its running statistics, so that rows do not depend on others of their batch.
    """

    def __init__(self, folder: str, frozen_norm: bool = False):
        self.folder, self.frozen_norm, self.rows, self.validated = Path(folder), frozen_norm, [], []
        self.draws: list[Tensor] = []
        self.gradients: list[dict[str, Tensor]] = []
        self._stack = contextlib.ExitStack()

    def on_train_start(self, trainer, module):
        for part in module.modules() if self.frozen_norm else ():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.forward = _by_running_statistics(part)

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if not self.rows:
            self.weights = {name: value.clone() for name, value in module.state_dict().items()}
            self.began = torch.get_rng_state()
            self.batch = {name: value.clone() for name, value in batch.items()}
            for owner, name in DRAWS:
                self._stack.enter_context(mock.patch.object(owner, name, self._noted(getattr(owner, name))))
        self.rows.append((trainer.current_epoch, rows_of(batch)))

    def _noted(self, draw):
        def noting(*args, **options):
            self.draws.append(draw(*args, **options))
            return self.draws[-1]

        return noting

    def on_before_optimizer_step(self, trainer, module, optimizer):
        if len(self.gradients) < len(trainer.optimizers):
            self.gradients.append(gradients_of(module, optimizer))

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self._stack.close()

    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
        self.validated.append((trainer.current_epoch, rows_of(batch)))

    def on_train_end(self, trainer, module):
        noted = {
            name: getattr(self, name)
            for name in ("weights", "batch", "draws", "gradients", "rows", "validated", "began")
        }
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
        after = {name: value.clone() for name, value in module.state_dict().items()}
        torch.save(noted | {"metrics": metrics, "after": after}, self.folder / f"diary-{trainer.global_rank}.pt")


class Joined(Diary):
    """Repeats, in one process, the first step that two noted: same weights, their batches and draws as one."""

    def __init__(self, folder: str, diaries: str):
        super().__init__(folder, frozen_norm=True)
        self.both = [torch.load(Path(diaries) / f"diary-{rank}.pt") for rank in range(2)]

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        module.load_state_dict(self.both[0]["weights"])
        batch.clear()
        batch.update(joined([diary["batch"] for diary in self.both]))
        self.replayed = iter(zip(*(diary["draws"] for diary in self.both), strict=True))
        super().on_train_batch_start(trainer, module, batch, batch_idx)

    def _noted(self, draw):
        def replay(*args, **options):
            return torch.cat(next(self.replayed))

        return replay


def joined(batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Batches as one: rows of sequences are padded to the longest."""

    def rows() -> Iterator[tuple[str, Tensor]]:
        for name in batches[0]:
            parts = [batch[name] for batch in batches]
            if name.startswith(("source", "target")):
                longest = max(part.shape[1] for part in parts)
                parts = [nn.functional.pad(part, (0, longest - part.shape[1])) for part in parts]
            yield name, torch.cat(parts)

    return dict(rows())


def rows_of(batch: dict[str, Tensor]) -> list[str]:
    """What tells the rows of a batch apart: their numbers, tokens without padding, or observations."""
    if "source" in batch:
        return [str(row[row != PAD].tolist()) for row in batch["source"]]
    return [str(row.tolist()) for row in batch["index" if "index" in batch else "observation"]]


def gradients_of(module: L.LightningModule, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    named = {name: parameter.grad for name, parameter in module.named_parameters() if id(parameter) in own}
    return {name: gradient.clone() for name, gradient in named.items() if gradient is not None}


def _by_running_statistics(norm: nn.modules.batchnorm._BatchNorm):
    def forward(x: Tensor) -> Tensor:
        return nn.functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)

    return forward
