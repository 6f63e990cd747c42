import pytest
import torch

from datamodules import cache, fonts, sources
from datamodules.mnist import MNIST


def test_the_whole_set(mnist_data, tmp_path, monkeypatch):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    data = MNIST()
    data.setup("test")
    assert data.test_set.images.shape == (10_000, 1, 28, 28)
    # Counts of the test digits as on the data set's page.
    assert data.test_set.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.test_set.images.float().mean() / 255 == pytest.approx(0.1325, abs=1e-4)


def test_without_data_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv(sources.DATA_VARIABLE, str(tmp_path))

    def no_network(*args, **options):
        raise ConnectionError("no network")

    monkeypatch.setattr(sources, "load_dataset", no_network)
    with pytest.raises(FileNotFoundError) as caught:
        MNIST().setup("fit")
    for words in ("ylecun/mnist", sources.DATA_VARIABLE, "--data.source fonts"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_digits_from_fonts_take_its_place(monkeypatch, tmp_path):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(fonts, "SIZES", {"train": 40, "test": 20})
    data = MNIST("fonts", batch_size=8)
    data.setup()
    assert (len(data.train_set), len(data.val_set), len(data.test_set)) == (38, 2, 20)
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (8, 1, 28, 28)
    assert batch["image"].dtype == torch.uint8
