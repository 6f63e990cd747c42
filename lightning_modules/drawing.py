"""What the GAN asks of its labels, batches and data, by the names it knows: see `networks.class_labels`.

B batch, C channels, H height, W width.
"""

import lightning as L
from torch import Tensor

from diffusion.noise import Generators
from networks import class_labels as labels_to_draw
from networks import image_shape
from networks.class_labels import MOST_CLASSES as MOST_CLASSES
from networks.class_labels import MOST_SAMPLES as MOST_SAMPLES
from networks.class_labels import class_labels as class_labels


def wanted(module: L.LightningModule, batch: dict[str, Tensor]) -> tuple[Tensor, Generators]:
    """The classes that a batch of `predict` asks for, and their noise."""
    return labels_to_draw.wanted(batch, type(module).__name__)


def check_data(module: L.LightningModule, data: L.LightningDataModule | None) -> None:
    """Raises ValueError where the data's images or classes, as far as they say, are not the module's."""
    hp, shape, names = module.hparams, getattr(data, "shape", None), getattr(data, "class_names", None)
    if shape is not None and list(shape) != list(hp.shape):
        raise ValueError(f"the model has shape={list(hp.shape)}, its data {list(shape)}; set both to the same")
    if names is not None and hp.num_classes and len(names) != hp.num_classes:
        raise ValueError(f"the model has num_classes={hp.num_classes}, its data {len(names)} classes")


def check_images(module: L.LightningModule, images: Tensor) -> None:
    """Raises ValueError where a batch (B, C, H, W) holds images of another shape than the module's."""
    image_shape.check_images(images, module.hparams.shape)
