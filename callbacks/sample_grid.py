"""How samples from the same noise change while a generative model trains.

B batch, C channels, H height, W width, K classes.
"""

import sys
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor
from torchvision.utils import make_grid

from callbacks.figures import labelled
from callbacks.log_media import log_image
from callbacks.module_protocols import ImageGenerator, check_module
from callbacks.sampling import MOST, class_names, watching
from diffusion.noise import generators
from limits import whole


class SampleGrid(L.Callback):
    """A grid of samples, a column for each class, every `every_n_steps` optimizer steps and when training ends.

    All grids are drawn from the same noise, and logged as "samples" (`callbacks.log_media`). A GAN takes two optimizer
    steps a batch.

    Args:
        every_n_steps: counted as `trainer.global_step`.
        rows: samples of each class.
    """

    def __init__(self, every_n_steps: int = 1000, rows: int = 8):
        whole(1, sys.maxsize, every_n_steps=every_n_steps)
        whole(1, MOST, rows=rows)
        self.every_n_steps, self.rows = every_n_steps, rows

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        check_module(self, module, ImageGenerator)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._drawn = trainer.global_step // self.every_n_steps

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step // self.every_n_steps > self._drawn:
            self._drawn = trainer.global_step // self.every_n_steps
            self._log(trainer, module)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._log(trainer, module)

    def _log(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        names = class_names(module)
        with watching(module):
            image = grid(draw(module, len(names), self.rows), len(names))
        log_image(trainer, "samples", labelled(image, names))


def draw(module: L.LightningModule, classes: int, rows: int, seed: int = 0) -> Tensor:
    """Samples of all classes, one after the other, row by row: (rows * K, C, H, W) uint8.

    Each has noise of its own, from the seed and its place.
    """
    labels = torch.arange(classes, device=module.device).repeat(rows)
    generator = cast(ImageGenerator, module)
    return generator.sample(labels, generator=generators(seed, range(len(labels)))).cpu()


def grid(images: Tensor, columns: int = 10, scale: int = 2) -> Tensor:
    """Images (B, C, H, W) uint8 side by side, each pixel as `scale` x `scale`: (3, height, width) uint8."""
    whole(1, 10_000, columns=columns)
    whole(1, 100, scale=scale)
    images = images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    return make_grid(images, nrow=columns, padding=scale, pad_value=255)
