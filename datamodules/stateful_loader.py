"""A loader that goes on within an epoch where a checkpoint stopped.

Lightning asks a loader with `state_dict` and `load_state_dict` for its state, and keeps it in checkpoints. With the
global generator's state beside it (`callbacks.resume.random_state`) a resumed run equals one that never stopped.

Why not `torchdata.StatefulDataLoader` (read as of version 0.12): it draws from torch's global generator when it is
made, and for each new iterator, which asking for its state makes, too, so that what a resumed run draws next differs.
Lightning saves after an epoch's last batch without asking for one more; it takes that for a place within the epoch, and
resumes with an epoch of no batches. And it goes on with another batch size, number of rows or number of processes
without a word.
"""

from collections.abc import Iterator, Sized
from itertools import islice
from typing import Any, cast

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from datamodules.unpadded_distributed_sampler import unpadded


class StatefulLoader(DataLoader):
    """A `DataLoader` whose order of an epoch follows from one number, which it draws from torch's global generator.

    It draws that at the first batch of an epoch and not before, so that nothing between restoring the generator and
    that batch, such as setting the loader up, changes the order.

    With several processes each gives its share (`datamodules.unpadded_distributed_sampler`), in an order that follows
    from the run's seed and the epoch.

    Args:
        dataset: as `DataLoader`'s.
        in_order: the rows keep their order when several processes share them, too.
        **options: those of `DataLoader`.

    Raises ValueError where a process's share of the rows makes no batch, and for `persistent_workers`, whose random
    state no checkpoint holds.
    """

    def __init__(self, dataset: Dataset, in_order: bool = False, **options):
        if options.get("persistent_workers"):
            raise ValueError(
                "persistent_workers=True: what they draw goes on from epoch to epoch, and a resumed run could not go "
                "on from there; leave it out"
            )
        given, self.in_order = options.get("sampler"), in_order
        rows = cast(Sized, dataset)
        if isinstance(given, DistributedSampler):  # Lightning's
            options["sampler"] = unpadded(rows, given, in_order, options.get("drop_last", False))
        super().__init__(dataset, **{**options, "generator": torch.Generator()})
        if isinstance(given, DistributedSampler) and not len(self):
            raise ValueError(
                f"batch_size={self.batch_size} is more than a process's share of {len(rows)} rows, "
                f"{len(options['sampler'])}; lower it"
            )
        self._seed, self._given, self._skipped = 0, 0, 0

    def __iter__(self) -> Iterator:  # type: ignore[override]  # torch names a private class
        self._given, self._skipped = self._skipped, 0
        if not self._given:
            self._seed = int(torch.empty((), dtype=torch.int64).random_().item())
        self.generator.manual_seed(self._seed)
        batches = super().__iter__()
        if self._given:
            with isolate_rng():  # the rows may draw while they are read
                next(islice(batches, self._given, self._given), None)
        for batch in batches:
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, int | None]:
        """The number that the epoch's order follows from, and how many of its batches were given: 0 at its end."""
        state = {"seed": self._seed, "given": self._given % len(self)}
        return {**state, "batches": len(self), "batch_size": self.batch_size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration begin after the batches that were given.

        Raises ValueError in the middle of an epoch of other batches: of another size, number of rows or of processes.
        """
        before = (state.get("batches", len(self)), state.get("batch_size", self.batch_size))
        if state["given"] and before != (len(self), self.batch_size):
            raise ValueError(
                f"the checkpoint lies within an epoch, after {state['given']} of {before[0]} batches of {before[1]} "
                f"rows; now an epoch has {len(self)} batches of {self.batch_size}: go on with the data, the batch size "
                "and the number of processes that it had, or from the end of an epoch"
            )
        self._seed, self._skipped = state["seed"], state["given"]


def already_collated(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The `collate_fn` of data sets whose `__getitems__` gives whole batches."""
    return batch
