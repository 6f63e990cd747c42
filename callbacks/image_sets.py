"""The real images that samples are compared with."""

from typing import Protocol, cast

import lightning as L

from datamodules.images import ImageSet
from lightning_modules.data_contract import data_of


class RealImages(Protocol):
    """A datamodule such as `datamodules.images.Images`."""

    def training_and_test_sets(self) -> tuple[ImageSet, ImageSet]:
        """All training and all test images, whatever stage was set up."""


def real_images(module: L.LightningModule) -> RealImages:
    """The module's data, before any image is read; ValueError where they have none."""
    data = data_of(module)
    if not hasattr(data, "training_and_test_sets"):
        raise ValueError(
            "samples are compared with real images: give the trainer a datamodule with training_and_test_sets(), such "
            "as datamodules.mnist.MNIST"
        )
    return cast(RealImages, data)


def training_and_heldout(module: L.LightningModule) -> tuple[ImageSet, ImageSet]:
    """The training images and the test images of the module's data; ValueError where they have none."""
    return real_images(module).training_and_test_sets()
