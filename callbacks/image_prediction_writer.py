"""Write what a generative model draws in `predict`, as files."""

import re
from collections.abc import Sequence

import lightning as L
import torch
from torch import Tensor

from callbacks.pillow_image import pillow_image
from callbacks.prediction_files import PredictionFiles
from callbacks.sample_grid import grid
from callbacks.sampling import class_names

IN_GRID = 100  # images


class ImagePredictionWriter(PredictionFiles):
    """`predict` leaves drawn/NUMBER-CLASS.png in the run's folder for each image, and drawn/grid.png of the first 100.

    CLASS is the class's name, or its number where it has none. The module's `predict_step` returns images
    (B, C, H, W) uint8 of the batch's labels. With several processes each writes the images of its own batches, whose
    "index" numbers them.
    """

    def on_predict_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        super().on_predict_start(trainer, module)
        self._folder = self.folder / "drawn"
        self._first: list[Tensor] = []
        self._folder.mkdir(exist_ok=True)

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        names, images = class_names(module), prediction.cpu()
        for image, label, number in zip(images, batch["label"].tolist(), batch["index"].tolist(), strict=True):
            name = re.sub(r"[^\w.+-]", "_", names[label])  # a class may be called n/a
            pillow_image(image).save(self._folder / f"{number:05d}-{name}.png")
        self._first += images[: IN_GRID - len(self._first)]
        self.written += len(images)

    def on_predict_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.is_global_zero and self._first:
            pillow_image(grid(torch.stack(self._first))).save(self._folder / "grid.png")
        print(f"{self.written} images in {self._folder}")
