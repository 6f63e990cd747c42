"""What a sequence model answers on held-out questions."""

from typing import cast

import lightning as L
from torch import Tensor

from callbacks.module_protocols import TextAnswerer
from callbacks.text_table import TextTable


class TextSamples(TextTable):
    """Logs a table "val/samples" of questions, expected answers and the model's own, at every validation.

    Args:
        count: rows of the table.
    """

    asks, columns, reads = TextAnswerer, ("source", "target", "answer", ""), "source"
    otherwise = (
        "shows answers to questions, and these data are free text; take callbacks.text_continuations.TextContinuations"
    )

    def __init__(self, count: int = 16):
        super().__init__(count)

    def rows(self, module: L.LightningModule, batch: dict[str, Tensor]) -> list[tuple[str, ...]]:
        """The batch's questions and targets, the module's answers, and whether these are right."""
        answerer, batch = cast(TextAnswerer, module), {name: value.to(module.device) for name, value in batch.items()}
        questions, targets = (answerer.vocabulary.decode(batch[name]) for name in ("source", "target"))
        ids = answerer.generate(batch["source"], batch["source_mask"])
        right = ["right" if exact else "wrong" for exact in answerer.is_exact(ids, batch).tolist()]
        return list(zip(questions, targets, answerer.vocabulary.decode(ids), right, strict=True))
