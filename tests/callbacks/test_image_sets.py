import lightning as L
import pytest
import torch

from callbacks.image_sets import training_and_heldout
from datamodules.images import ImageDataModule, ImageSet


class Read(ImageDataModule):
    """Notes what it reads: as many images as the split's name has letters."""

    shape = (1, 2, 2)
    class_names = ("one",)

    def __init__(self):
        super().__init__("memory", val_share=0.2)
        self.read = []

    def _read(self, split):
        self.read.append(split)
        return ImageSet(torch.zeros(len(split), 1, 2, 2, dtype=torch.uint8), torch.zeros(len(split), dtype=torch.long))


def module_with(data):
    module = L.LightningModule()
    module.trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    module.trainer.datamodule = data
    return module


def test_training_images_are_read_when_they_are_asked_for():
    data = Read()
    data.setup("test")
    assert data.read == ["test"]
    for _ in range(2):
        train, heldout = training_and_heldout(module_with(data))
        assert (len(train), len(heldout)) == (4, 4)
    assert data.read == ["test", "train"]


@pytest.mark.parametrize("data", [None, L.LightningDataModule()])
def test_data_without_them_are_refused(data):
    with pytest.raises(ValueError, match="give the trainer a datamodule"):
        training_and_heldout(module_with(data))
