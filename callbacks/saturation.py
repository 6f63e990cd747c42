"""What thresholding does to samples at high guidance scales.

B batch, C channels, H height, W width.
"""

from collections.abc import Sequence
from typing import cast

import lightning as L
import torch
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.figures import pixels
from callbacks.module_protocols import ThresholdedGenerator
from callbacks.sample_grid import grid
from callbacks.sample_image import SampleImage
from callbacks.sampling import MOST
from diffusion import guidance
from diffusion.thresholding import DynamicThresholding, NoThresholding, StaticThresholding, Thresholding
from limits import whole


def saturated_share(images: Tensor) -> float:
    """Share of values that are 0 or 255: (B, C, H, W) uint8 -> [0, 1]."""
    return ((images == 0) | (images == 255)).float().mean().item()


class Saturation(SampleImage):
    """Share of saturated pixels against the guidance scale with each kind of thresholding, and samples at the highest.

    Real images have some too: on MNIST most pixels are 0.

    Args:
        scales: of the curves.
        samples: images of each point, of all classes in turn; the first ten are shown.
        thresholdings: a curve each; by default none, static and dynamic.
    """

    name = "saturation"
    asks = ThresholdedGenerator

    def __init__(
        self,
        scales: Sequence[float] = (1.0, 3.0, 8.0),
        samples: int = 20,
        thresholdings: Sequence[Thresholding] | None = None,
    ):
        guidance.check_scales(scales)
        whole(1, MOST, samples=samples)
        self.scales, self.samples = sorted(scales), samples
        self.thresholdings = thresholdings or [NoThresholding(), StaticThresholding(), DynamicThresholding()]

    def image(self, module: L.LightningModule, class_names: Sequence[str]) -> Tensor:
        generator = cast(ThresholdedGenerator, module)
        labels = torch.arange(self.samples, device=module.device) % len(class_names)
        shares, highest = {}, {}
        for thresholding in self.thresholdings:
            name = type(thresholding).__name__
            drawn = [
                generator.sample(
                    labels, guidance_scale=scale, thresholding=thresholding, generator=self.noise(self.samples)
                )
                for scale in self.scales
            ]
            shares[name] = [saturated_share(images) for images in drawn]
            highest[name] = grid(drawn[-1][:10], 10)
        return self.figure(shares, highest, [class_names[label] for label in labels[:10].tolist()])

    def figure(self, shares: dict[str, list[float]], highest: dict[str, Tensor], columns: Sequence[str]) -> Tensor:
        """Curves above, a row of samples for each thresholding below them: (3, height, width) uint8.

        Args:
            shares: of each thresholding, at every scale.
            highest: samples of each thresholding at the highest scale, side by side.
            columns: the samples' classes.
        """
        figure = Figure((7, 3 + 0.9 * len(shares)), layout="constrained")
        plot, *rows = figure.subplots(1 + len(shares), 1, height_ratios=[3.0] + [0.9] * len(shares))
        for name, values in shares.items():
            plot.plot(self.scales, values, marker="o", label=name)
        plot.set(xlabel="guidance scale", ylabel="share of values at 0 or 255", ylim=(0, None))
        plot.legend()
        for axes, (name, image) in zip(rows, highest.items(), strict=True):
            axes.imshow(image.permute(1, 2, 0).cpu().numpy())
            axes.set_title(f"guidance scale {self.scales[-1]:g}, {name}", fontsize=8)
            width = image.shape[2] / len(columns)
            axes.set_xticks([(place + 0.5) * width for place in range(len(columns))], columns, fontsize=7)
            axes.tick_params(length=0)
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        return pixels(figure)
