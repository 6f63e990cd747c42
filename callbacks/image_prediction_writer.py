"""What a generative model draws in `predict`, as files."""

import re
from pathlib import Path

import lightning as L
import torch
from rich.console import Console
from torch import Tensor
from torchvision.io import write_png

from callbacks.sample_grid import grid
from callbacks.sampling import class_names

IN_GRID = 100  # pictures


class ImagePredictionWriter(L.Callback):
    """`predict` leaves drawn/NUMBER-CLASS.png in the run's folder, a file each, and grid.png with the first hundred.

    CLASS is its name in the data, its number where that names none. The module's `predict_step` returns pictures
    (B, C, H, W) uint8 of the batch's labels. Of several processes each
    writes the pictures of its own batches, whose "index" numbers them.
    """

    def on_predict_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._folder, self._written, self._first = Path(trainer.log_dir or ".") / "drawn", 0, []
        self._folder.mkdir(parents=True, exist_ok=True)

    def on_predict_batch_end(
        self, trainer, module, outputs: Tensor, batch: dict[str, Tensor], batch_idx, dataloader_idx=0
    ) -> None:
        names = class_names(trainer, module)
        pictures = outputs.cpu()
        for picture, label, number in zip(pictures, batch["label"].tolist(), batch["index"].tolist(), strict=True):
            name = re.sub(r"[^\w.+-]", "_", names[label])  # a class may be called n/a
            write_png(picture, str(self._folder / f"{number:05d}-{name}.png"))
        self._first += pictures[: IN_GRID - len(self._first)]
        self._written += len(pictures)

    def on_predict_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.is_global_zero and self._first:
            write_png(grid(torch.stack(self._first)), str(self._folder / "grid.png"))
        console = Console(soft_wrap=True, highlight=False, markup=False)
        console.print(f"{self._written} pictures in {self._folder}")
