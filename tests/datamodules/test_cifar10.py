from datasets import load_dataset

from datamodules import cache, fonts
from datamodules.cifar10 import CIFAR10


def test_the_whole_set(cifar10_data, tmp_path, monkeypatch):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    data = CIFAR10()
    data.setup("test")
    assert data.test_set.images.shape == (10_000, 3, 32, 32)
    assert data.test_set.labels.bincount().tolist() == [1000] * 10
    assert data.class_names == tuple(load_dataset(cifar10_data, split="test").features["label"].names)


def test_digits_from_fonts_take_its_place(monkeypatch, tmp_path):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(fonts, "SIZES", {"train": 40, "test": 20})
    data = CIFAR10("fonts")
    data.setup()
    assert data.train_set.images.shape == (38, 3, 32, 32)
    assert data.class_names == tuple("0123456789")
