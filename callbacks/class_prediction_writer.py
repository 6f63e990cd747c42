"""Write what a classifier predicts to a table."""

import csv
from pathlib import Path

import lightning as L
from rich.console import Console
from torch import Tensor


class ClassPredictionWriter(L.Callback):
    """`predict` leaves predictions.csv in the run's folder: file, class, probability; in the images' order.

    Speaks to the module through its `class_names` and what its `predict_step` returns (`lightning_modules.classifier`).
    An image of a data set goes by its number in place of a file's name. Of several processes each writes its own
    images, those after the first to predictions-RANK.csv. A byte of a file's name that is not UTF-8 is written
    as \\udcNN. Rows are in the file as soon as their batch is done.
    """

    def on_predict_start(self, trainer, module):
        folder = Path(trainer.log_dir or ".")
        folder.mkdir(parents=True, exist_ok=True)
        rank = f"-{trainer.global_rank}" if trainer.global_rank else ""
        self._path = folder / f"predictions{rank}.csv"
        self._file = self._path.open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._rows, self._written = csv.writer(self._file), 0
        self._rows.writerow(["file", "class", "probability"])

    def on_predict_batch_end(self, trainer, module, outputs: dict[str, Tensor], batch, batch_idx, dataloader_idx=0):
        names = batch["file"] if "file" in batch else batch["index"].tolist()
        chosen = outputs["label"].tolist()
        probability = outputs["probability"].amax(1).tolist()  # (B,)
        for name, label, share in zip(names, chosen, probability, strict=True):
            self._rows.writerow([name, module.class_names[label], f"{share:.4f}"])
        self._file.flush()
        self._written += len(names)

    def on_predict_end(self, trainer, module):
        self._file.close()
        Console(soft_wrap=True, highlight=False, markup=False).print(f"{self._written} predictions in {self._path}")
