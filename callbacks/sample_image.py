"""An image made from a generative model's samples, at every validation and test."""

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from callbacks.log_media import log_image
from callbacks.module_protocols import ImageGenerator, check_module
from callbacks.sampling import class_names, watching
from diffusion.noise import generators


class SampleImage(L.Callback):
    """Logs the result of `image` as STAGE/NAME (`callbacks.log_media`).

    A subclass names itself (`name`) and what it asks of the module (`asks`). All its images are drawn from the same
    noise, that of `seed`.
    """

    name: str
    asks: type = ImageGenerator
    seed = 0

    def image(self, module: L.LightningModule, class_names: Sequence[str]) -> Tensor:
        """(3, height, width) uint8."""
        raise NotImplementedError

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        check_module(self, module, self.asks)

    # Averaged weights are swapped in at the start of the validation epoch and out at its end. During its batches they
    # are in place, whatever the order of the callbacks.
    def on_validation_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if not (batch_idx or dataloader_idx or trainer.sanity_checking):
            self._log(trainer, module, "val")

    def on_test_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if not (batch_idx or dataloader_idx):
            self._log(trainer, module, "test")

    def _log(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        if not trainer.is_global_zero:
            return
        with watching(module), trainer.precision_plugin.forward_context():
            image = self.image(module, class_names(module))
        log_image(trainer, f"{stage}/{self.name}", image)

    def noise(self, count: int) -> list[torch.Generator]:
        """Fresh generators for `count` samples, the same ones each time."""
        return generators(self.seed, range(count))
