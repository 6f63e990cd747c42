import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from datamodules import cache, fonts, sources
from datamodules.svhn import SVHN
from tests.datamodules.test_images import pixels, png


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """folder("train", "test"): a source with these splits, 40 images each."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))

    def write(*splits):
        place = tmp_path / "-".join(splits)
        place.mkdir()
        for seed, split in enumerate(splits):
            files = [{"bytes": png(image), "path": None} for image in pixels(size=(32, 32), seed=seed)]
            pq.write_table(pa.table({"image": files, "label": np.arange(40) % 10}), place / f"{split}-0.parquet")
        return str(place)

    return write


def as_rows(images):
    return {tuple(row) for row in images.flatten(1).tolist()}


@pytest.mark.parametrize("stages", [["fit", "test"], ["test", "fit"], [None], ["validate", "predict"]])
def test_a_test_split_alone_is_cut_in_two(folder, stages):
    source = folder("test")
    data = SVHN(source, val_share=0.25)
    for stage in stages:
        data.setup(stage)
    assert (len(data.train_set), len(data.val_set)) == (30, 10)
    assert torch.equal(data.test_set.images, data.val_set.images)
    assert torch.equal(data.test_set.labels, data.val_set.labels)
    whole = torch.cat([data.train_set.images, data.test_set.images])
    assert as_rows(whole) == as_rows(torch.from_numpy(pixels(size=(32, 32))).permute(0, 3, 1, 2))
    again = SVHN(source, val_share=0.25)
    again.setup("test")
    assert torch.equal(again.test_set.images, data.test_set.images)


def test_a_whole_source_is_used_as_it_is(folder):
    data = SVHN(folder("train", "test"), val_share=0.25)
    data.setup()
    train, test = (torch.from_numpy(pixels(size=(32, 32), seed=seed)).permute(0, 3, 1, 2) for seed in (0, 1))
    assert torch.equal(data.test_set.images, test)
    assert as_rows(torch.cat([data.train_set.images, data.val_set.images])) == as_rows(train)
    assert len(data.val_set) == 10


def test_something_must_be_held_out(folder):
    with pytest.raises(ValueError, match=r"val_share=0 holds nothing out.*only a test split.*0\.1"):
        SVHN(folder("test"), val_share=0).setup("fit")


def test_splits_of_a_source(folder):
    assert sources.splits(folder("train", "test")) == ["train", "test"]
    assert sources.splits("some.parquet") == ["train"]
    with pytest.raises(FileNotFoundError, match=r"no/such.*FIRSTLIGHT_DATA"):
        sources.splits("./no/such")


def test_the_hub_is_asked_for_cropped_digits(monkeypatch):
    asked = []
    monkeypatch.delenv(sources.DATA_VARIABLE, raising=False)
    monkeypatch.setattr(sources, "get_dataset_split_names", lambda *args: asked.append(args) or ["train", "test"])
    assert not SVHN()._test_only
    assert asked == [("ufldl-stanford/svhn", "cropped_digits")]


def test_the_real_ones(svhn_data):
    """As their card counts them, `FIRSTLIGHT_DATA/svhn`: 10,000 of the test split."""
    data = SVHN(svhn_data)
    data.setup()
    assert (len(data.train_set), len(data.test_set)) == (9_000, 1_000)
    whole = torch.cat([data.train_set.labels, data.test_set.labels])
    assert whole.bincount().tolist() == [684, 1968, 1590, 1104, 964, 909, 773, 767, 621, 620]


def test_digits_from_fonts_take_their_place(monkeypatch, tmp_path):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(fonts, "SIZES", {"train": 40, "test": 20})
    data = SVHN("fonts")
    data.setup()
    assert (len(data.train_set), len(data.val_set), len(data.test_set)) == (36, 4, 20)
