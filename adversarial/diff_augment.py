"""Augmentation of what the discriminator sees, real and generated, with gradients through it (Zhao et al. 2020).

With few pictures a discriminator learns them by heart. Changed pictures on both sides prevent that, and since the
generator is trained through the same changes, its own pictures come out unchanged.

Each is a function of pictures (B, C, H, W) in [-1, 1] that draws for each picture anew.

B batch, C channels, H height, W width.
"""

import torch
from torch import Tensor

SHIFT = 1 / 8  # largest, as a share of the width
CUTOUT = 1 / 2  # side of the covered square, as a share of the width; Zhao et al. cover as much


def brightness(images: Tensor) -> Tensor:
    """Add the same to all pixels, within -0.5 to 0.5."""
    return images + _uniform(images, -0.5, 0.5)


def saturation(images: Tensor) -> Tensor:
    """Stretch colours around each pixel's grey, by factors from 0 to 2."""
    grey = images.mean(1, keepdim=True)
    return grey + (images - grey) * _uniform(images, 0, 2)


def contrast(images: Tensor) -> Tensor:
    """Stretch pixels around the picture's mean, by factors from 0.5 to 1.5."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * _uniform(images, 0.5, 1.5)


def translation(images: Tensor) -> Tensor:
    """Move by up to an eighth of the width, both ways; zeros come in at the sides.

    A move is a product with shifted identities from either side: it is differentiated like any other product.
    """
    rows, columns = (_shifts(images, size) for size in images.shape[2:])
    with torch.autocast(images.device.type, enabled=False):  # pixels stay what they are
        return rows.mT @ images.float() @ columns


def cutout(images: Tensor) -> Tensor:
    """Cover a square of half the width with zeros; its middle lies anywhere in the picture."""
    shown = [_outside(images, size) for size in images.shape[2:]]
    return images * (shown[0][:, None, :, None] | shown[1][:, None, None, :])


AUGMENTATIONS = {f.__name__: f for f in (brightness, saturation, contrast, translation, cutout)}


def check(names: list[str]) -> None:
    """Raises ValueError where a name is not one of `AUGMENTATIONS`."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise ValueError(f"diff_augment: {name!r} is unknown; use some of {', '.join(AUGMENTATIONS)}")


def augment(images: Tensor, names: list[str]) -> Tensor:
    """The pictures after all augmentations of these names, in their order."""
    for name in names:
        images = AUGMENTATIONS[name](images)
    return images


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    return torch.empty(len(images), 1, 1, 1, device=images.device).uniform_(low, high)


def _shifts(images: Tensor, size: int) -> Tensor:
    """(B, 1, size, size): identities moved along their rows, each by a whole number of pixels of its own."""
    most = round(SHIFT * size)
    moves = torch.randint(-most, most + 1, (len(images), 1, 1, 1), device=images.device)
    places = torch.arange(size, device=images.device)
    return (places[:, None] + moves == places).float()


def _outside(images: Tensor, size: int) -> Tensor:
    """(B, size): which rows (or columns) the square leaves alone."""
    middle = torch.randint(size, (len(images), 1), device=images.device)
    distance = torch.arange(size, device=images.device) - middle
    half = round(CUTOUT * size) // 2
    return (distance < -half) | (distance >= half)
