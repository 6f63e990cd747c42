import os

import pytest
from datasets import load_dataset

from datamodules import cache, fonts, sources
from datamodules.cifar10 import CIFAR10


def test_the_whole_set(tmp_path, monkeypatch):
    folder = os.path.join(os.environ.get(sources.DATA_VARIABLE, ""), "cifar10")
    if not os.path.isdir(folder):
        pytest.skip(f"{sources.DATA_VARIABLE} names no folder with cifar10/")
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    data = CIFAR10()
    data.setup("test")
    assert data.test_set.images.shape == (10_000, 3, 32, 32)
    assert data.test_set.labels.bincount().tolist() == [1000] * 10
    assert data.class_names == tuple(load_dataset(folder, split="test").features["label"].names)


def test_digits_from_fonts_take_its_place(monkeypatch, tmp_path):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(fonts, "SIZES", {"train": 40, "test": 20})
    data = CIFAR10("fonts")
    data.setup()
    assert data.train_set.images.shape == (38, 3, 32, 32)
    assert data.class_names == tuple("0123456789")
