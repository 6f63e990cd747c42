"""What a sequence model answers on held-out questions, as text in TensorBoard."""

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from callbacks.validation_rows import validation_rows
from limits import whole


class TextSamples(L.Callback):
    """A table of question, expected answer and the model's own, at every validation.

    Rows are taken from all over the first validation set, and are the same each time, so that the slider over steps
    shows how answers improve.

    Args:
        count: rows of the table.
    """

    def __init__(self, count: int = 16):
        whole(count=count)
        self.count = count

    # Averaged weights are swapped in between the start and the end of the validation epoch: a batch lies between the
    # two whatever the order of the callbacks.
    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0) -> None:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if batch_idx or dataloader_idx or trainer.sanity_checking or not trainer.is_global_zero or not loggers:
            return
        table = self.table(module, validation_rows(trainer, batch, self.count))
        for logger in loggers:
            logger.experiment.add_text("val/samples", table, trainer.global_step)

    def table(self, module: L.LightningModule, batch: dict[str, Tensor]) -> str:
        """The samples and the module's answers as a Markdown table."""
        batch = {name: value.to(module.device) for name, value in batch.items()}
        questions, expected = (module.vocabulary.decode(batch[name]) for name in ("source", "target"))
        ids = module.generate(batch["source"], batch["source_mask"])
        answers, right = module.vocabulary.decode(ids), module.is_exact(ids, batch).tolist()
        lines = ["| source | target | answer | |", "| --- | --- | --- | --- |"]
        for *texts, exact in zip(questions, expected, answers, right, strict=True):
            lines.append(f"| {' | '.join(map(_cell, texts))} | {'right' if exact else '**wrong**'} |")
        return "\n".join(lines)


def _cell(text: str) -> str:
    """Text that Markdown leaves alone."""
    return "`` " + text.replace("|", "¦") + " ``"
