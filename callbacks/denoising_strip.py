"""How an image comes out of noise.

B batch, C channels, H height, W width.
"""

from collections.abc import Sequence
from typing import cast

import lightning as L
import torch
from torch import Tensor

from callbacks.figures import labelled
from callbacks.module_protocols import StepwiseGenerator
from callbacks.sample_grid import grid
from callbacks.sample_image import SampleImage
from callbacks.sampling import MOST
from limits import whole
from networks.image_range import to_pixels


class DenoisingStrip(SampleImage):
    """A row for each of the first classes: the image that the model predicts at each step, first to last.

    Args:
        classes: how many, a row each.
        frames: how many steps are shown, evenly spaced, the last one included.
    """

    name = "denoising"
    asks = StepwiseGenerator

    def __init__(self, classes: int = 4, frames: int = 10):
        whole(1, MOST, classes=classes, frames=frames)
        self.classes, self.frames = classes, frames

    def image(self, module: L.LightningModule, class_names: Sequence[str]) -> Tensor:
        generator = cast(StepwiseGenerator, module)
        labels = torch.arange(min(self.classes, len(class_names)), device=module.device)
        seen: list[Tensor] = []
        generator.sample(
            labels, generator=self.noise(len(labels)), on_step=lambda number, x0: seen.append(to_pixels(x0))
        )
        shown = torch.linspace(len(seen) - 1, 0, min(self.frames, len(seen))).round().long().flip(0)
        strips = torch.stack([seen[number] for number in shown.tolist()], 1)  # (B, frames, C, H, W)
        steps = [f"step {number + 1}" for number in shown.tolist()]
        return labelled(grid(strips.flatten(0, 1), len(shown)), steps, class_names[: len(labels)])
