"""Print what a model answers in `predict`."""

import lightning as L
from rich.console import Console
from torch import Tensor


class TextPredictionWriter(L.Callback):
    """One line `question -> answer` for each row that `predict` gives to the model.

    The module's `predict_step` returns the answers as texts; its `vocabulary` spells the questions.
    """

    def on_predict_batch_end(
        self, trainer, module, outputs: list[str], batch: dict[str, Tensor], batch_idx, dataloader_idx=0
    ) -> None:
        console = Console(soft_wrap=True, highlight=False, markup=False)
        for question, answer in zip(module.vocabulary.decode(batch["source"]), outputs, strict=True):
            console.print(f"{question} -> {answer}")
