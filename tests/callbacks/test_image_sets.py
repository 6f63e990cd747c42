import lightning as L
import pytest

from callbacks.image_sets import training_and_heldout
from datamodules.images import Images
from tests.datamodules.own_images import write_classes


def module_with(data):
    module = L.LightningModule()
    module.trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    module.trainer.datamodule = data
    return module


def test_training_images_are_read_when_they_are_asked_for(tmp_path):
    for first, split in enumerate(("train", "test")):
        write_classes(tmp_path / split, {"cat": 4 + first}, first=10 * first)
    data = Images(str(tmp_path), val_share=0)
    data.setup("test")
    assert not hasattr(data, "train_set")
    tests = data.test_set
    for _ in range(2):
        train, heldout = training_and_heldout(module_with(data))
        assert (len(train), len(heldout)) == (4, 5)
        assert train is data.train_set
        assert heldout is tests


@pytest.mark.parametrize("data", [None, L.LightningDataModule()])
def test_data_without_them_are_refused(data):
    with pytest.raises(ValueError, match="give the trainer a datamodule"):
        training_and_heldout(module_with(data))
