import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from datasets import ClassLabel, Dataset, Features, Value
from PIL import Image
from pyarrow import parquet

from datamodules import sources


def write(path: Path, *texts: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({"text": list(texts or [path.stem])}), path)


def read(place: Path, split: str = "train") -> list[str]:
    return list(sources.load(str(place), split, ["text"])["text"])


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train_a", "more"], {"train": ["more", "train_a"]}),
        (["demos_a", "demos_test"], {"train": ["demos_a"], "test": ["demos_test"]}),
        (["a", "b"], {"train": ["a", "b"]}),
        (["train-00000-of-00001", "test-00000-of-00001"], None),
        (["data/train-00000-of-00002", "data/train-00001-of-00002", "data/extra-00000-of-00001"], None),
        (["train/x", "Test/y", "validation/z"], {"train": ["x"], "test": ["y"], "validation": ["z"]}),
        (["test_rig/train", "latest", "contrain"], {"train": ["contrain", "latest", "train"]}),
        (["part-10", "part-2", "part-1"], {"train": ["part-1", "part-2", "part-10"]}),
        (["deep/er/a", ".hidden/b", "__pycache__/c", ".d"], {"train": ["a"]}),
    ],
    ids=str,
)
@pytest.mark.parametrize("folder", ["data", "run[1]", "a*b?", "x.parquet", "test"])
def test_every_file_belongs_to_a_split(names, splits, folder, tmp_path):
    place = tmp_path / folder
    for name in names:
        write(place / f"{name}.parquet")
    if splits is None:  # as the Hub names them
        stems = [name.rpartition("/")[2] for name in names]
        splits = {split: [stem for stem in stems if stem.startswith(split)] for split in ("train", "test", "extra")}
        splits = {split: files for split, files in splits.items() if files}
    assert sorted(sources.splits(str(place))) == sorted(splits)
    for split, files in splits.items():
        assert read(place, split) == files


def test_a_split_that_is_not_there_is_named(tmp_path):
    write(tmp_path / "demos_test.parquet")
    with pytest.raises(
        ValueError, match="have no split 'train', only test; a file belongs to the split that is a word"
    ):
        read(tmp_path)


def test_a_readme_has_the_last_word(tmp_path):
    for name in ("train", "more", "unused"):
        write(tmp_path / f"{name}.parquet")
    said = {"configs": [{"config_name": "default", "data_files": ["train.parquet", "more.parquet"]}]}
    (tmp_path / "README.md").write_text(f"---\n{yaml.safe_dump(said)}---\n")
    assert read(tmp_path) == ["more", "train"]
    (tmp_path / "README.md").write_text("# Only words\n")
    assert read(tmp_path) == ["more", "train", "unused"]


def test_names_of_classes_come_from_the_file_or_from_the_readme(tmp_path):
    features = Features({"label": ClassLabel(names=["b", "a"])})
    Dataset.from_dict({"label": [0, 1]}, features=features).to_parquet(tmp_path / "named.parquet")
    assert sources.load(str(tmp_path / "named.parquet")).features == features
    assert sources.local_class_names(str(tmp_path / "named.parquet"), "label") == ["b", "a"]
    folder = tmp_path / "folder"
    folder.mkdir()
    parquet.write_table(pa.table({"label": [0, 1], "other": [1, 2]}), folder / "train.parquet")
    assert sources.load(str(folder)).features["label"] == Value("int64")
    assert sources.local_class_names(str(folder), "label") is None
    kind = {"class_label": {"names": {"0": "b", "1": "a"}}}
    said = {"dataset_info": {"features": [{"name": "label", "dtype": kind}]}}
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(said)}---\n")
    rows = sources.load(str(folder), columns=["label"])
    assert rows.features == features
    assert list(rows["label"]) == [0, 1]
    assert sources.local_class_names(str(folder), "label") == ["b", "a"]


@pytest.mark.parametrize("content", [b"", b"PAR1 torn", None])
def test_data_that_cannot_be_read_name_no_classes(content, tmp_path):
    """Neither do those that are on the Hub: nobody is asked over the network."""
    if content is not None:
        (tmp_path / "train.parquet").write_bytes(content)
    assert sources.local_class_names(str(tmp_path), "label") is None
    assert sources.local_class_names(str(tmp_path / "train.parquet"), "label") is None
    assert sources.local_class_names("some/where", "label") is None


def test_a_folder_of_lerobot_without_its_readme(human_data, tmp_path):
    """Parquet files in meta/ describe episodes and tasks."""
    shutil.copytree(human_data, tmp_path / "lerobot")
    (tmp_path / "lerobot" / "README.md").unlink()
    write(tmp_path / "lerobot" / "meta" / "episodes" / "chunk-000" / "file-000.parquet")
    write(tmp_path / "lerobot" / "meta" / "tasks.parquet")
    assert len(sources.load(str(tmp_path / "lerobot"))) == 25_650


def test_a_file_that_is_replaced_is_read_anew(tmp_path):
    """Also by one of the same size and time."""
    path = tmp_path / "train.parquet"
    for text in ("first", "other"):
        write(path, text)
        os.utime(path, (1, 1))
        assert read(path) == [text]
        assert read(tmp_path) == [text]


def test_files_of_different_widths_of_numbers_make_one_table(tmp_path):
    for name, kind in (("a", pa.int32()), ("b", pa.int64())):
        parquet.write_table(pa.table({"n": pa.array([1, 2], kind)}), tmp_path / f"{name}.parquet")
    assert list(sources.load(str(tmp_path))["n"]) == [1, 2, 1, 2]


def test_folders_that_datasets_reads_itself(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / "train" / name / "1.png")
    assert sources.load(str(tmp_path)).features["label"].names == ["cat", "dog"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (None, "the folder is empty"),
        ("train-images-idx3-ubyte", "IDX format.*docs/reference/mlp.md"),
        ("train-images-idx3-ubyte.gz", "IDX format.*docs/reference/mlp.md"),
        ("data.bin", "cannot be read"),
    ],
)
def test_a_folder_without_rows_is_named(name, words, tmp_path):
    place = tmp_path / "mine"
    place.mkdir()
    if name:
        (place / name).write_bytes(b"\0\0\x08\x03")
    with pytest.raises(ValueError, match=f"mine' cannot be read as rows: .*{words}|mine' {words}") as caught:
        sources.load(str(place))
    assert "\n" not in str(caught.value)


def test_a_name_with_glob_characters_and_no_rows_is_named(tmp_path):
    (tmp_path / "run[1]").mkdir()
    (tmp_path / "run[1]" / "a.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"does not open folders with \*, \?, \[ or \] in their names; rename it"):
        sources.load(str(tmp_path / "run[1]"))


def test_no_source_at_all():
    with pytest.raises(ValueError, match="source is empty"):
        sources.load("")


def test_a_cache_of_the_hub_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")

    def unwritable(*args, **options):
        raise NotADirectoryError(20, "Not a directory", str(tmp_path / "file" / "token"))

    monkeypatch.setenv(sources.DATA_VARIABLE, "")
    monkeypatch.setattr(sources, "load_dataset", unwritable)
    monkeypatch.setattr(sources.config, "HF_DATASETS_CACHE", tmp_path / "file" / "datasets")
    with pytest.raises(ValueError, match="file/datasets, where it is kept, cannot be written; set HF_HOME to a folder"):
        sources.load("ylecun/mnist")
