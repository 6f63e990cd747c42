"""The real images that samples are compared with."""

import lightning as L

from datamodules.images import ImageSet
from lightning_modules.data_contract import data_of


def training_and_heldout(module: L.LightningModule) -> tuple[ImageSet, ImageSet]:
    """`train_set` and `test_set` of the module's data; ValueError where they have none.

    At test the trainer sets up the data for testing alone: a datamodule reads its training images when it is asked for
    them.
    """
    data = data_of(module)
    try:
        return data.train_set, data.test_set
    except AttributeError as error:
        raise ValueError(
            "samples are compared with real images: give the trainer a datamodule with train_set and test_set, such as "
            "datamodules.mnist.MNIST"
        ) from error
