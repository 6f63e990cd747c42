"""Pairs of sequences in memory, read in whole batches with little padding; those of training are new in each epoch.

N pairs, B of them in a batch, S tokens of the source, T of the target.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from datamodules.device_resident import ResidentDataModule, ResidentSet, index_on
from datamodules.stateful_loader import StatefulLoader
from limits import whole
from networks.vocabulary import PAD

MOST = 10_000_000  # rows, which are made at once; more epochs do as well as larger ones
SEEDS = 2**32  # of training; those of validation and test sets lie beyond
BLOCK = 32  # batches that are sorted by length together


class Pairs(ResidentSet):
    """Right-padded sequences: {"source": (B, S), "source_mask": (B, S), "target": (B, T), "target_mask": (B, T)}.

    Masks are True at tokens. S and T are the longest of the batch, so neighbours should be of similar length
    (`similar_lengths`).

    Args:
        source, target: (N, S) and (N, T) ids, padded with PAD.
    """

    held = ("source", "target")

    def __init__(self, source: Tensor, target: Tensor):
        self.source, self.target = source, target
        # These stay on the CPU: they say how wide a batch is, and asking a GPU for that would wait for it.
        self.source_lengths, self.target_lengths = (source != PAD).sum(1), (target != PAD).sum(1)

    @classmethod
    def from_lists(cls, source: list[list[int]], target: list[list[int]]) -> "Pairs":
        """Pairs of sequences that are still lists of ids."""
        return cls(*map(padded, (source, target)))

    def __len__(self) -> int:
        return len(self.source)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        chosen, index = torch.as_tensor(indices), index_on(self.source.device, indices)
        source = self.source[index, : self.source_lengths[chosen].max()].long()
        target = self.target[index, : self.target_lengths[chosen].max()].long()
        return {"source": source, "source_mask": source != PAD, "target": target, "target_mask": target != PAD}

    def reordered(self, order: Tensor) -> "Pairs":
        return Pairs(self.source[order], self.target[order])


class EpochPairs(ResidentSet):
    """Pairs that are drawn anew in each epoch, when its first batch is read.

    Args:
        draw: the pairs of an epoch, by its number.
        epoch: the number of the epoch that is running.
        count: how many pairs an epoch has.
    """

    def __init__(self, draw: Callable[[int], Pairs], epoch: Callable[[], int], count: int):
        self.draw, self.epoch, self.count = draw, epoch, count
        self._drawn: tuple[int, Pairs] | None = None

    def __len__(self) -> int:
        return self.count

    def pairs(self) -> Pairs:
        """Those of the epoch that is running."""
        epoch = self.epoch()
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = epoch, self.draw(epoch)
        return self._drawn[1]

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        return self.pairs().__getitems__(indices)

    @property
    def nbytes(self) -> int:
        return self.pairs().nbytes

    def to(self, device: torch.device | str) -> "EpochPairs":
        return EpochPairs(lambda epoch: self.pairs().to(device), self.epoch, self.count)


def padded(rows: list[list[int]]) -> Tensor:
    """N rows of ids, any of which may be empty, padded on the right with PAD: (N, L)."""
    tensors = [torch.tensor(ids, dtype=torch.long) for ids in rows]
    return pad_sequence(tensors, batch_first=True, padding_value=PAD) if rows else torch.zeros(0, 0, dtype=torch.long)


def similar_lengths(lengths: Tensor, batch_size: int, generator: torch.Generator | None = None) -> Tensor:
    """A random order of N pairs in which every `batch_size` neighbours have similar lengths.

    Pairs are shuffled, sorted within blocks of `BLOCK` batches, and the batches shuffled again. A smaller batch, where
    N does not divide, comes last.
    """
    whole(batch_size=batch_size)
    order = torch.randperm(len(lengths), generator=generator)
    blocks = [block[lengths[block].argsort(stable=True)] for block in order.split(BLOCK * batch_size)]
    batches = torch.cat(blocks).split(batch_size)
    full = len(lengths) // batch_size
    shuffled = [batches[i] for i in torch.randperm(full, generator=generator).tolist()]
    return torch.cat([*shuffled, *batches[full:]])


class PairsDataModule(ResidentDataModule, ABC):
    """Pairs that are drawn anew for each training epoch, and fixed ones for validation and test.

    A subclass has the hyperparameters `batch_size`, `train_size` and `seed`, and the `vocab_size` of its tokenizer. It
    sets `val_pairs` and a list `test_pairs` in `make_held_out`, names the latter in `test_names`, and draws the pairs
    of an epoch in `draw_training`.
    """

    vocab_size: int
    val_pairs: Pairs
    test_pairs: list[Pairs]
    test_names: list[str]

    @abstractmethod
    def make_held_out(self) -> None:
        """Make the pairs of validation and test."""

    @abstractmethod
    def draw_training(self, epoch: int) -> Pairs:
        """`train_size` pairs for an epoch, in any order; the same ones whenever they are asked for."""

    def setup(self, stage: str | None = None) -> None:
        whole(batch_size=self.hparams.batch_size)
        whole(0, SEEDS - 1, seed=self.hparams.seed)
        for name in {"train_size", "val_size", "test_size"} & self.hparams.keys():
            whole(1, MOST, **{name: self.hparams[name]})
        if stage != "predict" and not hasattr(self, "val_pairs"):  # for `predict` a question is enough
            self.make_held_out()

    def train_pairs(self, epoch: int) -> Pairs:
        """What is trained on in an epoch, in that order."""
        pairs = self.draw_training(epoch)
        generator = torch.Generator().manual_seed(self.hparams.seed + epoch)
        return pairs.reordered(similar_lengths(pairs.source_lengths, self.hparams.batch_size, generator))

    def loader(self, rows: ResidentSet, **options) -> StatefulLoader:
        """Batches of pairs in their order."""
        return super().loader(rows, in_order=True, **options)

    def train_dataloader(self) -> DataLoader:
        pairs = EpochPairs(self.train_pairs, self._epoch, self.hparams.train_size)
        return self.loader(pairs, drop_last=self.hparams.train_size >= self.hparams.batch_size)

    def _epoch(self) -> int:
        """The number of the epoch that the trainer is in; 0 where it repeats a few batches (`overfit_batches`)."""
        if not self.trainer or self.trainer.overfit_batches:  # type: ignore[attr-defined]  # set by a connector
            return 0
        return self.trainer.current_epoch

    def val_dataloader(self) -> DataLoader:
        return self.loader(self.val_pairs)

    def test_dataloader(self) -> list[DataLoader]:
        return [self.loader(pairs) for pairs in self.test_pairs]
