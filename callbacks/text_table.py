"""A table of held-out text and of what a model makes of it."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import lightning as L
from torch import Tensor

from callbacks.log_media import log_table
from callbacks.module_protocols import check_module
from callbacks.validation_rows import validation_rows
from limits import whole


class TextTable(L.Callback, ABC):
    """Logs a table "val/samples" at every validation.

    Rows are spread over the first validation set and are the same each time, so that the slider over steps shows how
    the model's improve.

    Args:
        count: rows of the table.

    Attributes:
        asks: what the module must offer, of `callbacks.module_protocols`.
        columns: names of the table's.
        reads: what a batch must hold.
        otherwise: what to do about other batches.
    """

    asks: ClassVar[type]
    columns: ClassVar[tuple[str, ...]]
    reads: ClassVar[str]
    otherwise: ClassVar[str]

    def __init__(self, count: int):
        whole(count=count)
        self.count = count

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        check_module(self, module, self.asks)

    # Averaged weights are swapped in at the start of the validation epoch and out at its end. During its batches they
    # are in place, whatever the order of the callbacks.
    def on_validation_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self.reads not in batch:
            raise ValueError(f"{type(self).__name__} {self.otherwise}")
        if batch_idx or dataloader_idx or trainer.sanity_checking or not trainer.is_global_zero:
            return
        log_table(trainer, "val/samples", self.columns, self.rows(module, validation_rows(trainer, batch, self.count)))

    @abstractmethod
    def rows(self, module: L.LightningModule, batch: dict[str, Tensor]) -> list[tuple[str, ...]]:
        """A row of the table for each of the batch."""
