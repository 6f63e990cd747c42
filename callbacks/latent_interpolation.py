"""A video of what lies between the latents of a generator.

Speaks to the module through `latents(count, generator)` and `sample(labels, latents=)`.

B batch, Z latent, C channels, H height, W width, K classes, S stops, T frames.
"""

from pathlib import Path

import imageio.v3 as iio
import lightning as L
import numpy as np
import torch
from rich.console import Console

from adversarial.slerp import slerp
from callbacks.sample_grid import grid
from callbacks.sampling import HIGHEST_SEED, MOST, class_names, watching
from diffusion.noise import generators
from limits import whole

FPS = 20


class LatentInterpolation(L.Callback):
    """At test, and when training ends, writes samples/walk.mp4 and samples/walk.gif in the run's folder.

    All classes walk from stop to stop along great circles and back to where they began; in a row, all classes share
    their latents.

    Args:
        stops: S, latents that are visited.
        frames: images from one stop to the next.
        rows: walks.
        seed: of the latents.
    """

    def __init__(self, stops: int = 4, frames: int = 24, rows: int = 3, seed: int = 0):
        whole(2, MOST, stops=stops)
        whole(1, MOST, frames=frames, rows=rows)
        whole(0, HIGHEST_SEED, seed=seed)
        self.stops, self.frames, self.rows, self.seed = stops, frames, rows, seed

    def on_test_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        folder = Path(trainer.log_dir or ".") / "samples"
        if not trainer.is_global_zero:
            return
        with watching(module):
            images = self.walk(module, len(class_names(trainer, module)))
        folder.mkdir(parents=True, exist_ok=True)
        iio.imwrite(folder / "walk.mp4", images, fps=FPS, codec="libx264", plugin="pyav")
        iio.imwrite(folder / "walk.gif", images[::2], duration=2000 / FPS, loop=0, subrectangles=True)
        console = Console(soft_wrap=True, highlight=False, markup=False)
        console.print(f"a walk between latents in {folder / 'walk.mp4'}")

    on_train_end = on_test_end

    def walk(self, module: L.LightningModule, classes: int) -> np.ndarray:
        """(T, height, width, 3) uint8."""
        latents = module.latents(self.rows * self.stops, generators(self.seed, range(self.rows * self.stops)))
        stops = latents.unflatten(0, (self.rows, self.stops)).unbind(1)  # S of (rows, Z)
        labels = torch.arange(classes, device=module.device).repeat(self.rows)
        frames = []
        for start, end in zip(stops, [*stops[1:], stops[0]], strict=True):
            for step in range(self.frames):
                latents = slerp(start, end, step / self.frames).repeat_interleave(classes, 0)  # (rows * K, Z)
                frames.append(grid(module.sample(labels, latents=latents).cpu(), classes))
        walk = torch.stack(frames).permute(0, 2, 3, 1)
        return walk[:, : walk.shape[1] // 2 * 2, : walk.shape[2] // 2 * 2].numpy()  # video wants even sides
