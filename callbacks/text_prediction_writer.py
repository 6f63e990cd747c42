"""Print what a model answers in `predict`."""

from collections.abc import Sequence
from typing import cast

import lightning as L
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from callbacks.module_protocols import TextAnswerer


class TextPredictionWriter(BasePredictionWriter):
    """One line `question -> answer` for each row that `predict` gives to the model; a prompt's text as it is.

    The module's `predict_step` returns the answers as texts; its `vocabulary` decodes the questions.
    """

    def __init__(self):
        super().__init__("batch")

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        prediction: list[str],
        batch_indices: Sequence[int] | None,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        if "source" not in batch:  # prompts of free text, which the predictions begin with
            for text in prediction:
                print(text)
            return
        questions = cast(TextAnswerer, module).vocabulary.decode(batch["source"])
        for question, answer in zip(questions, prediction, strict=True):
            print(f"{question} -> {answer}")
