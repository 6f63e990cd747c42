"""What guidance does to samples, class by class."""

from collections.abc import Sequence
from typing import cast

import lightning as L
import torch
from torch import Tensor

from callbacks.figures import labelled
from callbacks.module_protocols import GuidedGenerator
from callbacks.sample_grid import grid
from callbacks.sample_image import SampleImage
from diffusion import guidance


class GuidanceGrid(SampleImage):
    """A column for each class, a row for each guidance scale, lowest first; a column starts from the same noise.

    Args:
        scales: of the rows; 0 leaves the class out, 1 is the conditional model.
    """

    name = "guidance"
    asks = GuidedGenerator

    def __init__(self, scales: Sequence[float] = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)):
        guidance.check_scales(scales)
        self.scales = sorted(scales)

    def image(self, module: L.LightningModule, class_names: Sequence[str]) -> Tensor:
        generator = cast(GuidedGenerator, module)
        labels = torch.arange(len(class_names), device=module.device)
        rows = [
            generator.sample(labels, guidance_scale=scale, generator=self.noise(len(labels))) for scale in self.scales
        ]
        names = [f"scale {scale:g}" for scale in self.scales]
        return labelled(grid(torch.cat(rows), len(labels)), class_names, names)
