"""A loader that goes on within an epoch where a checkpoint stopped.

Lightning asks a loader with `state_dict` and `load_state_dict` for its place, and keeps it in checkpoints. With the
global generator's state beside it (`callbacks.random_state`) a resumed run equals one that never stopped.
"""

from collections.abc import Iterator
from itertools import islice

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from datamodules.fair_share import fair_share


class ResumableLoader(DataLoader):
    """A `DataLoader` whose order of an epoch follows from one number, which it draws from torch's global generator.

    It draws that at the first batch of an epoch and not before, so that nothing between restoring the generator and
    that batch, such as setting the loader up, changes the order.

    Of several processes each gives its share (`datamodules.fair_share`), in an order that follows from the run's seed
    and the epoch.

    Args:
        dataset: as `DataLoader`'s.
        in_order: the rows keep their order when several processes share them, too.
        **options: those of `DataLoader`.

    Raises ValueError where a process's share of the rows makes no batch.
    """

    def __init__(self, dataset: Dataset, in_order: bool = False, **options):
        sampler, self.in_order = options.get("sampler"), in_order
        if isinstance(sampler, DistributedSampler):  # Lightning's
            options["sampler"] = fair_share(dataset, sampler, in_order, options.get("drop_last", False))
        super().__init__(dataset, **{**options, "generator": torch.Generator()})
        if isinstance(sampler, DistributedSampler) and not len(self):
            raise ValueError(
                f"batch_size={self.batch_size} is more than a process's share of {len(dataset)} rows, "
                f"{len(self.sampler)}; lower it"
            )
        self._seed, self._given, self._skipped = 0, 0, 0

    def __iter__(self) -> Iterator:
        self._given, self._skipped = self._skipped, 0
        if not self._given:
            self._seed = torch.empty((), dtype=torch.int64).random_().item()
        self.generator.manual_seed(self._seed)
        for batch in islice(super().__iter__(), self._given, None):
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The epoch's number and how many of its batches were given; none of them at the end of an epoch."""
        return {"seed": self._seed, "given": self._given % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next iteration begins after the batches that were given."""
        self._seed, self._skipped = state["seed"], state["given"]
