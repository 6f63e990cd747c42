"""Write the classes that a classifier predicts to a table."""

import csv
from collections.abc import Sequence
from typing import Any, cast

import lightning as L
from torch import Tensor

from callbacks.module_protocols import ClassPredictor, check_module
from callbacks.prediction_files import PredictionFiles


class ClassPredictionWriter(PredictionFiles):
    r"""`predict` leaves predictions.csv in the run's folder: file, class, probability; in the images' order.

    An image of a data set has its number in place of a file name. With several processes each writes its own images,
    all but the first to predictions-RANK.csv. A byte of a file's name that is not UTF-8 is written as \udcNN. Rows are
    in the file as soon as their batch is done.
    """

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        super().setup(trainer, module, stage)
        check_module(self, module, ClassPredictor)

    def on_predict_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        super().on_predict_start(trainer, module)
        self._path = self.folder / f"predictions{self.rank}.csv"
        self._file = self._path.open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._rows = csv.writer(self._file)
        self._rows.writerow(["file", "class", "probability"])

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        prediction: dict[str, Tensor],
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        class_names = cast(ClassPredictor, module).class_names
        names = batch["file"] if "file" in batch else batch["index"].tolist()
        probability = prediction["probability"].amax(1).tolist()  # (B,)
        for name, label, share in zip(names, prediction["label"].tolist(), probability, strict=True):
            self._rows.writerow([name, class_names[label], f"{share:.4f}"])
        self._file.flush()
        self.written += len(names)

    def on_predict_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._file.close()
        print(f"{self.written} predictions in {self._path}")
