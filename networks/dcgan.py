"""Generator and discriminator of a DCGAN (Radford et al. 2016), for square images of 8, 16, 32, ... pixels.

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

SMALLEST = 4  # pixels, where the generator begins and the discriminator ends


class Generator(nn.Module):
    """Latents (B, Z) and classes (B,) -> images (B, C, H, W) in [-1, 1].

    A linear map to 4 x 4 positions, then transposed convolutions that each double the resolution and halve the
    channels, with batch norm and ReLU between them.

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
        widths = [width * 2**stage for stage in reversed(range(stages(shape)))]  # from 4 x 4 upwards
        self.classes = nn.Embedding(num_classes, embedding) if num_classes else None
        inputs = latent + embedding if num_classes else latent
        layers = [nn.ConvTranspose2d(inputs, widths[0], SMALLEST, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
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

    Convolutions that each halve the resolution down to 4 x 4 positions and double the channels, with leaky ReLU, then a
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
        widths = [width * 2**stage for stage in range(stages(shape))]
        layers = [nn.Conv2d(shape[0], width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for narrow, wide in itertools.pairwise(widths):
            layers.append(nn.Conv2d(narrow, wide, 4, 2, 1, bias=not batch_norm))
            layers += [nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)] if batch_norm else [nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        features = widths[-1] * SMALLEST**2  # F
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
    """How often the resolution doubles between 4 pixels and the image's. Raises ValueError for other sizes."""
    image_shape(shape)
    height, width = shape[1:]
    count = math.log2(height / SMALLEST)
    if height != width or count < 1 or count % 1:
        raise ValueError(
            f"shape={list(shape)}: a DCGAN draws square images of 8, 16, 32, ... pixels; got {height} x {width}"
        )
    return int(count)


def _initialise(layer: nn.Module) -> None:
    """Radford et al. 2016, Sec. 4: normal with a standard deviation of 0.02."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
        nn.init.normal_(layer.weight, std=0.02)
    if isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
    bias = getattr(layer, "bias", None)
    if bias is not None:
        nn.init.zeros_(bias)
