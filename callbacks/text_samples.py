"""What a sequence model answers on held-out questions."""

from typing import Any, cast

import lightning as L
from torch import Tensor

from callbacks.log_media import log_table
from callbacks.module_protocols import TextAnswerer, check_module
from callbacks.validation_rows import validation_rows
from limits import whole

COLUMNS = ("source", "target", "answer", "")


class TextSamples(L.Callback):
    """Logs a table "val/samples" of questions, expected answers and the model's own, at every validation.

    Rows are spread over the first validation set and are the same each time, so that the slider over steps shows how
    answers improve.

    Args:
        count: rows of the table.
    """

    def __init__(self, count: int = 16):
        whole(count=count)
        self.count = count

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        check_module(self, module, TextAnswerer)

    # Averaged weights are swapped in at the start of the validation epoch and out at its end. During its batches they
    # are in place, whatever the order of the callbacks.
    def on_validation_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if "source" not in batch:
            raise ValueError(
                "TextSamples shows answers to questions, and these data are free text; take "
                "callbacks.text_continuations.TextContinuations"
            )
        if batch_idx or dataloader_idx or trainer.sanity_checking or not trainer.is_global_zero:
            return
        log_table(trainer, "val/samples", COLUMNS, self.rows(module, validation_rows(trainer, batch, self.count)))

    def rows(self, module: L.LightningModule, batch: dict[str, Tensor]) -> list[tuple[str, ...]]:
        """The batch's questions and targets, the module's answers, and whether these are right."""
        answerer, batch = cast(TextAnswerer, module), {name: value.to(module.device) for name, value in batch.items()}
        questions, targets = (answerer.vocabulary.decode(batch[name]) for name in ("source", "target"))
        ids = answerer.generate(batch["source"], batch["source_mask"])
        right = ["right" if exact else "wrong" for exact in answerer.is_exact(ids, batch).tolist()]
        return list(zip(questions, targets, answerer.vocabulary.decode(ids), right, strict=True))
