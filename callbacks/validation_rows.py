"""Rows of the validation set that figures and tables are made of, the same at every validation."""

import lightning as L
from torch import Tensor
from torch.utils._pytree import tree_leaves

from datamodules.pairs import Pairs
from datamodules.token_stream import Blocks
from limits import whole


def validation_rows(trainer: L.Trainer, batch: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    """A batch of at most `count` rows, evenly spread over the first validation set.

    A set that is not one of ours, such as a streamed one, may not be indexable: there the rows are spread over `batch`,
    the first of the validation.
    """
    whole(count=count)
    rows = getattr(tree_leaves(trainer.val_dataloaders)[0], "dataset", None)
    ours = rows if isinstance(rows, Pairs | Blocks) else None
    size = len(next(iter(batch.values()))) if ours is None else len(ours)
    count = min(count, size)
    chosen = [(2 * index + 1) * size // (2 * count) for index in range(count)]
    if ours is None:
        return {name: values[chosen] for name, values in batch.items()}
    return ours.__getitems__(chosen)
