"""A video of images between latents of a generator.

B batch, Z latent, C channels, H height, W width, K classes, S stops, T frames.
"""

from typing import cast

import lightning as L
import numpy as np
import torch
from torch import Tensor

from adversarial.slerp import slerp
from callbacks.log_media import log_video
from callbacks.module_protocols import LatentGenerator, check_module
from callbacks.sample_grid import grid
from callbacks.sampling import HIGHEST_SEED, MOST, class_names, watching
from diffusion.noise import generators
from limits import whole


class LatentInterpolation(L.Callback):
    """At test, and when training ends, logs a video "latent_interpolation" (`callbacks.log_media`).

    All classes go from stop to stop along great circles and back to where they began; all classes of a row share their
    latents.

    Args:
        stops: S, latents that are visited.
        frames: from one stop to the next.
        rows: how many rows of images, each with its own stops.
        seed: of the latents.
    """

    def __init__(self, stops: int = 4, frames: int = 24, rows: int = 3, seed: int = 0):
        whole(2, MOST, stops=stops)
        whole(1, MOST, frames=frames, rows=rows)
        whole(0, HIGHEST_SEED, seed=seed)
        self.stops, self.frames, self.rows, self.seed = stops, frames, rows, seed

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        check_module(self, module, LatentGenerator)

    def on_test_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        with watching(module):
            frames = self.interpolation(module, len(class_names(module)))
        path = log_video(trainer, "latent_interpolation", frames)
        print(f"latent interpolation in {path}")

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.on_test_end(trainer, module)

    def interpolation(self, module: L.LightningModule, classes: int) -> np.ndarray:
        """The frames (T, height, width, 3) uint8."""
        generator = cast(LatentGenerator, module)
        latents = generator.latents(self.rows * self.stops, generators(self.seed, range(self.rows * self.stops)))
        stops = latents.unflatten(0, (self.rows, self.stops)).unbind(1)  # S of (rows, Z)
        labels = torch.arange(classes, device=module.device).repeat(self.rows)
        frames: list[Tensor] = []
        for start, end in zip(stops, [*stops[1:], stops[0]], strict=True):
            for step in range(self.frames):
                latents = slerp(start, end, step / self.frames).repeat_interleave(classes, 0)  # (rows * K, Z)
                frames.append(grid(generator.sample(labels, latents=latents).cpu(), classes))
        return torch.stack(frames).permute(0, 2, 3, 1).numpy()
