"""A small convolutional encoder of images: a policy's eye, cheap enough for one CPU core.

B batch, C channels, H height, W width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limits import whole
from networks.image_shape import image_shape

SCALE = 64.0  # 255ths


class FoldedCNN(nn.Module):
    """(B, C, H, W) uint8 -> (B, dim): squares of pixels become channels, then four convolutions and two layers.

    Folding (`torch.nn.PixelUnshuffle`) loses nothing and leaves few places, each with many channels: the products of
    matrices that a CPU is good at. Nothing is pooled over the whole image, as positions are to be read. The mean of
    each colour over the image is subtracted, so that a plain background is near 0.

    Args:
        shape: C, H, W.
        widths: channels of the convolutions; the second one halves height and width, the last one's are few, as each
            place of each goes to the first layer.
        fold: side of the squares.
        dim: what is given for an image.
    """

    def __init__(self, shape: Sequence[int], widths: Sequence[int] = (64, 96, 96, 32), fold: int = 4, dim: int = 256):
        super().__init__()
        channels, height, width = image_shape(shape)
        whole(1, 2**14, fold=fold, dim=dim)
        if len(widths) != 4:
            raise ValueError(f"widths={list(widths)} must be the channels of four convolutions")
        for size in widths:
            whole(1, 2**14, widths=size)
        if height % (2 * fold) or width % (2 * fold):
            raise ValueError(
                f"shape={list(shape)} does not fit fold={fold}: both sides must be multiples of {2 * fold}"
            )
        self.dim = dim
        first, second, third, last = widths
        self.convolutions = nn.Sequential(
            nn.PixelUnshuffle(fold),
            nn.Conv2d(channels * fold**2, first, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(third, last, 3, padding=1),
            nn.ReLU(),
        )
        places = (height // (2 * fold)) * (width // (2 * fold))
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(last * places, dim), nn.ReLU(), nn.Linear(dim, dim))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):  # torch's own start lets signals shrink (He et al. 2015)
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.to(next(self.parameters()).dtype)
        pixels = (pixels - pixels.mean((2, 3), keepdim=True)) / SCALE
        return self.layers(self.convolutions(pixels.to(memory_format=torch.channels_last)))
