"""The classes of the images that a model is asked to draw.

B batch, K classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from diffusion.noise import Generators
from diffusion.sample_noise import noise_of, run_seed
from limits import whole

MOST_CLASSES = 1_000_000
MOST_SAMPLES = 10_000_000


def class_labels(labels: Tensor | Sequence[int], num_classes: int, device: torch.device) -> Tensor:
    """Classes to draw, (B,) whole numbers from 0 to K - 1, on the device. Where K is 0, only their number matters."""
    whole(0, MOST_CLASSES, num_classes=num_classes)
    try:
        labels = torch.as_tensor(labels, device=device)
    except (ValueError, TypeError, RuntimeError) as error:  # as torch refuses lists of words, of other lengths, ...
        raise ValueError(f"labels={labels!r:.80} must be a list of classes, whole numbers: {error}") from error
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(
            f"labels must be a list of classes, whole numbers of shape (B,); got {labels.dtype} of shape "
            f"{tuple(labels.shape)}"
        )
    if num_classes and len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"labels are {int(labels.min())} to {int(labels.max())}; the model knows classes 0 to {num_classes - 1} "
            f"(num_classes={num_classes})"
        )
    return labels.long()


def wanted(batch: dict[str, Tensor], model: str) -> tuple[Tensor, Generators]:
    """The classes that a batch of `predict` asks for, and noise from the run's seed and each image's "index".

    Without an "index" the noise is torch's own. Raises ValueError, with the model's name, for a batch without classes.
    """
    if not isinstance(batch, dict) or "label" not in batch:
        raise ValueError(
            f"{model} draws images of classes and reads none: predict needs batches with a 'label', and no "
            "--data.images"
        )
    return batch["label"], noise_of(batch, run_seed())
