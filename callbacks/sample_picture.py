"""Pictures made of a generative model's samples, at every validation and test."""

from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torchvision.io import write_png

from callbacks.sampling import class_names, watching
from diffusion.noise import generators


class SamplePicture(L.Callback):
    """Shows what `picture` makes of the module, in TensorBoard and as samples/STAGE-NAME-step.png in the run's folder.

    A subclass names itself (`name`) and speaks to the module through `sample` alone (`lightning_modules.ddpm`). All its
    pictures are drawn from the same noise, that of `seed`.
    """

    name: str
    seed = 0

    def picture(self, module: L.LightningModule, class_names: Sequence[str]) -> Tensor:
        """(3, height, width) uint8."""
        raise NotImplementedError

    # Averaged weights are swapped in between the start and the end of the validation epoch: a batch lies between the
    # two whatever the order of the callbacks.
    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0) -> None:
        if not (batch_idx or dataloader_idx or trainer.sanity_checking):
            self._show(trainer, module, "val")

    def on_test_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0) -> None:
        if not (batch_idx or dataloader_idx):
            self._show(trainer, module, "test")

    def _show(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        folder = Path(trainer.log_dir or ".") / "samples"  # asking for it is a broadcast: every process must
        if not trainer.is_global_zero:
            return
        with watching(module), trainer.precision_plugin.forward_context():
            picture = self.picture(module, class_names(trainer, module))
        folder.mkdir(parents=True, exist_ok=True)
        write_png(picture, str(folder / f"{stage}-{self.name}-step{trainer.global_step:07d}.png"))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(f"{stage}/{self.name}", picture, trainer.global_step)

    def noise(self, count: int) -> list[torch.Generator]:
        """The generators that `sample` draws so many samples from, as they are at the start."""
        return generators(self.seed, range(count))
