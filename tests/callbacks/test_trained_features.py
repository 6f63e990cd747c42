import pytest
import torch

from callbacks import trained_features
from callbacks.trained_features import TrainedFeatures
from tests.lightning_modules.test_gan import GAN, TINY
from tests.lightning_modules.test_self_supervised import made


@pytest.fixture
def trained(monkeypatch):
    modules = {"runs/features": made().eval(), "gan": GAN(**TINY)}
    monkeypatch.setattr(trained_features, "load_trained", modules.__getitem__)
    return modules


def test_it_is_the_module_under_the_folders_name(trained):
    features = TrainedFeatures("runs/features")
    assert features.name == "features"
    assert TrainedFeatures("runs/features", "own").name == "own"
    for shape in (None, [3, 16, 16], (3, 16, 16)):
        assert features.load(shape) is trained["runs/features"]


def test_features_of_other_images_are_refused(trained):
    with pytest.raises(ValueError, match=r"reads images of shape \[3, 16, 16\], the data's are \[1, 28, 28\]"):
        TrainedFeatures("runs/features").load(torch.Size([1, 28, 28]))


def test_a_module_without_features_is_refused(trained):
    with pytest.raises(ValueError, match=r"^gan is of a GAN, which has no features\(images\)"):
        TrainedFeatures("gan").load(None)
