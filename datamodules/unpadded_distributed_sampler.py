"""How several processes share the rows of an epoch: each row goes to exactly one of them, or is left out."""

from collections.abc import Sized
from typing import Any, cast

from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch.utils.data import Dataset, DistributedSampler


def unpadded(dataset: Sized, given: DistributedSampler, in_order: bool, drop_last: bool) -> DistributedSampler:
    """A process's rows, in place of the `given` sampler, which repeats some so that all processes get equally many.

    With `drop_last`, as in training, up to one row a process is left out instead (in random order others each epoch).
    Without, as in validation, the first processes get one row more: what is measured is measured on every row once.

    Args:
        dataset: the rows.
        given: the sampler that Lightning makes.
        in_order: rank, rank + processes, rank + 2 processes, ... whatever `given` says of shuffling.
        drop_last: whether all processes must get the same number of rows.

    Raises ValueError where there are fewer rows than processes.
    """
    if len(dataset) < given.num_replicas:
        raise ValueError(
            f"{given.num_replicas} processes cannot share {len(dataset)} rows: each needs one; lower --trainer.devices "
            "or give more data"
        )
    rows = cast(Dataset, dataset)
    options: dict[str, Any] = {
        "num_replicas": given.num_replicas,
        "rank": given.rank,
        "shuffle": given.shuffle and not in_order,
        "seed": given.seed,
    }
    if drop_last:
        return DistributedSampler(rows, drop_last=True, **options)
    return UnrepeatedDistributedSampler(rows, **options)
