"""Generator and discriminator of a DCGAN (Radford et al. 2016).

Their lowest resolution is the image's, halved as often as leaves at least 4 pixels: 4 x 4 of 32 x 32, 7 x 7 of 28 x 28,
6 x 6 of 48 x 48. Sides that cannot be halved so often are refused.

Both may be class-conditional: the generator reads an embedding of the class beside its latent, the discriminator adds
the inner product of its features with one of its own (Miyato & Koyama 2018, Eq. 3, "projection").

B batch, Z latent, C channels, H height, W width, K classes, E embedding, F features.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limits import whole
from networks.image_shape import image_shape

SMALLEST = 4  # pixels of the shorter side, at least, where the generator begins and the discriminator ends
WIDEST = 8  # times the width at half the resolution of the image: 512 channels by default


class Generator(nn.Module):
    """Latents (B, Z) and classes (B,) -> images (B, C, H, W) in [-1, 1].

    A linear map to few positions, then transposed convolutions that each double the resolution and halve the channels
    (of which there are at most 8 times `width`), with batch norm and ReLU between them.

    Args:
        shape: C, H, W.
        num_classes: K; 0 for a generator that knows no classes.
        latent: Z.
        width: channels of the last hidden layer, at half the resolution of the image.
        embedding: E.
    """

    def __init__(
        self, shape: Sequence[int], num_classes: int = 0, latent: int = 128, width: int = 64, embedding: int = 32
    ):
        super().__init__()
        whole(1, 2**14, latent=latent, width=width, embedding=embedding)
        whole(0, 1_000_000, num_classes=num_classes)
        self.latent = latent
        widths = stage_widths(shape, width)[::-1]  # from the lowest resolution upwards
        self.classes = nn.Embedding(num_classes, embedding) if num_classes else None
        inputs = latent + embedding if num_classes else latent
        layers = [
            nn.ConvTranspose2d(inputs, widths[0], lowest(shape), bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        ]
        for wide, narrow in itertools.pairwise(widths):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(width, shape[0], 4, 2, 1), nn.Tanh())
        self.apply(_initialise)
        if self.classes is not None:
            # Much smaller than the latent: at its size, the class alone decides, and each class gets one image.
            nn.init.normal_(self.classes.weight, std=0.1)

    def forward(self, latents: Tensor, classes: Tensor | None = None) -> Tensor:
        if self.classes is not None:
            latents = torch.cat([latents, self.classes(classes)], 1)
        return self.layers(latents[:, :, None, None].contiguous(memory_format=torch.channels_last))


class Discriminator(nn.Module):
    """Images (B, C, H, W) in [-1, 1] and their classes (B,) -> logits (B,), high for real ones.

    Convolutions that each halve the resolution and double the channels, as the generator's, with leaky ReLU, then a
    linear map.

    Args:
        shape: C, H, W.
        num_classes: K; 0 for a discriminator that knows no classes.
        width: channels of the first convolution.
        batch_norm: normalise all layers but the first and the last over the batch, as DCGAN does. Not with gradient
            penalties: an image's gradient would then depend on the whole batch.
    """

    def __init__(self, shape: Sequence[int], num_classes: int = 0, width: int = 64, batch_norm: bool = False):
        super().__init__()
        whole(1, 2**14, width=width)
        whole(0, 1_000_000, num_classes=num_classes)
        widths = stage_widths(shape, width)
        layers = [nn.Conv2d(shape[0], width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for narrow, wide in itertools.pairwise(widths):
            layers.append(nn.Conv2d(narrow, wide, 4, 2, 1, bias=not batch_norm))
            layers += [nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)] if batch_norm else [nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        features = widths[-1] * math.prod(lowest(shape))  # F
        self.head = nn.Linear(features, 1)
        self.classes = nn.Embedding(num_classes, features) if num_classes else None
        self.apply(_initialise)
        if not batch_norm:
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, a=0.2)

    def forward(self, images: Tensor, classes: Tensor | None = None) -> Tensor:
        features = self.layers(images.contiguous(memory_format=torch.channels_last))  # (B, F)
        logits = self.head(features)[:, 0]
        if self.classes is not None:
            logits = logits + (features.float() * self.classes(classes)).sum(1)
        return logits


def stages(shape: Sequence[int]) -> int:
    """How often the resolution halves on the way to the lowest one. Raises ValueError where a side cannot.

    >>> [stages((3, side, side)) for side in (8, 28, 32, 48, 256)]
    [1, 2, 3, 3, 6]
    """
    _, *sides = image_shape(shape)
    count = max(1, (min(sides) // SMALLEST).bit_length() - 1)
    factor = 2**count
    if min(sides) < 2 * SMALLEST or any(side % factor for side in sides):
        fitting = [max(2 * SMALLEST, round(side / factor) * factor) for side in sides]
        raise ValueError(
            f"shape={list(shape)}: a DCGAN of images of {sides[0]} x {sides[1]} pixels needs sides divisible by "
            f"{factor}, of at least {2 * SMALLEST}; take {fitting[0]} x {fitting[1]}, or square images of 32, 48 or 64"
        )
    return count


def lowest(shape: Sequence[int]) -> tuple[int, int]:
    """Height and width of the lowest resolution. Raises as `stages`."""
    count = stages(shape)
    return shape[1] >> count, shape[2] >> count


def stage_widths(shape: Sequence[int], width: int) -> list[int]:
    """Channels at each resolution, from half the image's downwards. Raises as `stages`."""
    return [width * min(2**stage, WIDEST) for stage in range(stages(shape))]


def _initialise(layer: nn.Module) -> None:
    """Radford et al. 2016, Sec. 4: normal with a standard deviation of 0.02."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
        nn.init.normal_(layer.weight, std=0.02)
    if isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
    bias = getattr(layer, "bias", None)
    if bias is not None:
        nn.init.zeros_(bias)
