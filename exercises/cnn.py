"""Stage 2: networks for images, and how they are trained."""

import math
from typing import Any

import torch
import torch.nn.functional as F

from datamodules.augmentation import HorizontalFlip
from exercises.exercise import Stage
from exercises.grading import Wrong, same
from networks import cnn, whitening
from optim.lr_schedule import WarmupCosine

STAGE = Stage("MLP and CNN: images")


@STAGE.exercise(cnn.ResidualBlock.forward, level=1)
def residual_block(answer: Any) -> None:
    """A residual block.

    y = ReLU(F(x) + x), where F is `self.residual`, and x goes by `self.shortcut`, as its shape may have to change.
    """
    torch.manual_seed(0)
    for block in (answer.ResidualBlock(4, 4), answer.ResidualBlock(4, 6, stride=2)):
        x = torch.randn(2, 4, 6, 6)
        block.eval()
        residual, shortcut = x, x
        for layer in block.residual:
            residual = layer(residual)
        for layer in block.shortcut.children():
            shortcut = layer(shortcut)
        same("output", block(x), (residual + shortcut).clamp(min=0))


@STAGE.exercise(HorizontalFlip.apply, level=1)
def horizontal_flip(answer: Any) -> None:
    """Mirror half of a batch, without a loop.

    Draw one number for each image with `torch.rand(..., generator=generator, device=images.device)`; where it is
    below 0.5, the image is mirrored left to right.
    """
    images = torch.arange(200 * 2 * 3 * 4.0).reshape(200, 2, 3, 4)
    given = answer.HorizontalFlip()(images, generator=torch.Generator().manual_seed(0))
    if not isinstance(given, torch.Tensor) or given.shape != images.shape:
        raise Wrong(
            f"expected images of shape {tuple(images.shape)}, got {getattr(given, 'shape', type(given).__name__)}"
        )
    mirrored = torch.tensor([not torch.equal(one, image) for one, image in zip(given, images, strict=True)])
    same("images, some of them mirrored", given, torch.where(mirrored[:, None, None, None], images.flip(3), images))
    if not 70 <= int(mirrored.sum()) <= 130:
        raise Wrong(f"expected about 100 of 200 images mirrored, got {int(mirrored.sum())}")
    again = answer.HorizontalFlip()(images, generator=torch.Generator().manual_seed(0))
    same("the same images from the same generator", again, given)


@STAGE.exercise(WarmupCosine.__call__, level=1)
def warmup_cosine(answer: Any) -> None:
    """The learning rate: warmup, then a cosine.

    `rise = _warmup_steps(self.warmup, total)` is how many steps it rises; there `_rise(step, rise)` is the factor.
    After them it is final + (1 - final) (1 + cos(pi s)) / 2, where `self._fall(s)` is the last part and s, by
    `_share(done, steps)`, the share of the falling steps that is over.
    """
    schedule = answer.WarmupCosine(warmup=4, final=0.1)
    for step in (0, 3, 4, 10, 24, 30):
        fall = 0.1 + 0.9 * (1 + math.cos(math.pi * min(1, (step - 4) / 20))) / 2
        same(f"factor at step {step} of 24, 4 of them warmup", schedule(step, 24), (step + 1) / 5 if step < 4 else fall)
    same("factor without an end", answer.WarmupCosine(warmup=4)(1000, math.inf), 1.0)


@STAGE.exercise(whitening.whitening_filters, level=3)
def whitening_filters(answer: Any) -> None:
    """Filters that whiten patches of images.

    Cut all patches of k x k pixels into rows (`F.unfold`), take their second moment S = P^T P / n in float64 and its
    eigenvectors (`torch.linalg.eigh`). The rows of (L + eps)^(-1/2) E^T, shaped as filters (C k^2, C, k, k), give
    outputs of variance 1 that are not correlated. Return them and, after them, their negatives, in the images' dtype.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(8, 3, 10, 10, generator=generator)
    images = images + 2 * images.roll(1, 3) + images.mean(1, keepdim=True)
    filters = answer.whitening_filters(images, 2, 1e-9)
    same("how many filters there are, and their shape", list(getattr(filters, "shape", ())), [24, 3, 2, 2])
    same("the second half", filters[12:], -filters[:12])
    outputs = F.conv2d(images, filters[:12]).movedim(1, -1).flatten(0, 2)
    moment = outputs.T @ outputs / len(outputs)
    same("second moment of the outputs", moment.round(decimals=3) + 0, torch.eye(12))
