"""What thresholding does to samples at high guidance scales.

B batch, C channels, H height, W width.
"""

from collections.abc import Sequence

import lightning as L
import torch
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.figures import pixels
from callbacks.sample_grid import grid
from callbacks.sample_picture import SamplePicture
from callbacks.sampling import MOST
from diffusion import guidance
from diffusion.thresholding import DynamicThresholding, NoThresholding, StaticThresholding
from limits import whole

THRESHOLDINGS = {"none": NoThresholding(), "static": StaticThresholding(), "dynamic": DynamicThresholding()}


def saturated_share(pictures: Tensor) -> float:
    """Share of values that are 0 or 255: (B, C, H, W) uint8 -> [0, 1]."""
    return ((pictures == 0) | (pictures == 255)).float().mean().item()


class Saturation(SamplePicture):
    """Share of saturated pixels against the guidance scale with each kind of thresholding, and samples at the highest.

    Real pictures have some too: on MNIST most pixels are 0.

    Args:
        scales: of the curves.
        samples: pictures of each point, of all classes in turn; the first ten are shown.
    """

    name = "saturation"

    def __init__(self, scales: Sequence[float] = (1.0, 3.0, 8.0), samples: int = 20):
        guidance.check_scales(scales)
        whole(1, MOST, samples=samples)
        self.scales, self.samples = sorted(scales), samples

    def picture(self, module: L.LightningModule, class_names: Sequence[str]) -> Tensor:
        labels = torch.arange(self.samples, device=module.device) % len(class_names)
        shares, highest = {}, {}
        for name, thresholding in THRESHOLDINGS.items():
            drawn = [
                module.sample(labels, scale, thresholding, generator=self.noise(self.samples)) for scale in self.scales
            ]
            shares[name] = [saturated_share(pictures) for pictures in drawn]
            highest[name] = grid(drawn[-1][:10], 10)
        return self.figure(shares, highest)

    def figure(self, shares: dict[str, list[float]], highest: dict[str, Tensor]) -> Tensor:
        """Curves above, a row of samples for each thresholding below them: (3, height, width) uint8."""
        figure = Figure((7, 3 + 0.9 * len(shares)), layout="constrained")
        plot, *rows = figure.subplots(1 + len(shares), 1, height_ratios=[3.0] + [0.9] * len(shares))
        for name, values in shares.items():
            plot.plot(self.scales, values, marker="o", label=name)
        plot.set(xlabel="guidance scale", ylabel="share of saturated pixels", ylim=(0, None))
        plot.legend(title="thresholding")
        for axes, (name, picture) in zip(rows, highest.items(), strict=True):
            axes.imshow(picture.permute(1, 2, 0).numpy())
            axes.set_title(f"scale {self.scales[-1]:g}, {name}", fontsize=8)
            axes.axis("off")
        return pixels(figure)
