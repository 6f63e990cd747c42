"""Where data comes from: one rule for every data set.

A `source` is a folder with files of rows, one such file (`datamodules.table_file`), or a Hugging Face Hub id. The
folder that the environment variable FIRSTLIGHT_DATA names is looked at first: there, each Hub id has a folder of its
own (`LOCAL_FOLDERS`), so the same command runs with and without a network.

Every Parquet file in a folder and the folders below it (where all files are of rows, those of the other kinds, too)
belongs to a split: the one that a README says, as on the Hub, or else the one that the file's or its folder's name
holds as a word (train, test, validation, and what `datasets` takes for these), or else train. Files follow one another
by the numbers in their names: part-2, then part-10. They are read as they are now, not from a cache of `datasets`. A
folder with a meta/info.json is LeRobot's: its data/ is read.
"""

import glob
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import (
    Dataset,
    DatasetBuilder,
    DatasetInfo,
    Features,
    config,
    get_dataset_split_names,
    load_dataset,
    load_dataset_builder,
)
from datasets.data_files import SPLIT_KEYWORDS
from datasets.table import InMemoryTable, table_cast
from huggingface_hub import DatasetCard
from huggingface_hub.constants import HF_HUB_CACHE
from pyarrow import parquet

from datamodules import table_file

DATA_VARIABLE = "FIRSTLIGHT_DATA"
LOCAL_FOLDERS = {
    "ylecun/mnist": "mnist",
    "uoft-cs/cifar10": "cifar10",
    "ufldl-stanford/svhn": "svhn",
    "lerobot/pusht_keypoints": "pusht",
    "lerobot/pusht_image": "pusht_image",
}
HUB_CONFIGS = {"ufldl-stanford/svhn": "cropped_digits"}  # of a Hub id that holds several data sets, which one


def resolve(source: str) -> str:
    """The file, folder or Hub id to load `source` from."""
    if not source:
        raise ValueError("source is empty; name a folder, a file or a Hub id")
    if Path(source).exists():
        return source
    root = os.environ.get(DATA_VARIABLE)
    folder = Path(root) / LOCAL_FOLDERS.get(source, source) if root else None
    return str(folder) if folder and folder.exists() else source


def load(source: str, split: str = "train", columns: list[str] | None = None) -> Dataset:
    """The rows of a split of `source`, only `columns` of them where given.

    Tab- or comma-separated values have the columns' names in their first line where `columns` are given, and no names
    otherwise.

    Raises FileNotFoundError where there is nothing at the source, ValueError where it cannot be read, or lacks the
    split, a column or any row.
    """
    parts = load_files(source, split, columns)
    if len(parts) == 1:
        return parts[0]
    tables = [rows.data.table for rows in parts]
    return _asked(source, lambda: _dataset(pa.concat_tables(tables, promote_options="permissive")))


def load_files(
    source: str, split: str = "train", columns: list[str] | None = None, optional: Sequence[str] = ()
) -> list[Dataset]:
    """The same, file by file; what is not files of rows on this machine counts as one. Raises as `load` does.

    Of the columns in `optional` those are read that are there.
    """
    place = resolve(source)
    files, features = _asked(source, lambda: _local(source))
    if not files:
        rows = _asked(source, lambda: load_dataset(place, HUB_CONFIGS.get(place), split=split))
        parts = [rows.select_columns(_wanted(place, rows.column_names, columns, optional))]
    elif split in files:
        parts = []
        for file in files[split]:
            named = columns is not None
            names = _asked(source, partial(table_file.column_names, file, named))
            wanted = _wanted(place, names, columns, optional)
            parts.append(_asked(source, partial(_read, file, wanted, named, features)))
    else:
        raise ValueError(
            f"the data at {place!r} have no split {split!r}, only {', '.join(files)}; a file belongs to the split that "
            "is a word of its name or its folder's"
        )
    if not any(map(len, parts)):
        raise ValueError(f"the split {split!r} of {source!r} holds no rows")
    return parts


def _wanted(place: str, names: list[str], columns: list[str] | None, optional: Sequence[str]) -> list[str]:
    """Which of the columns `names` to read. Raises ValueError where one of `columns` is not among them."""
    missing = [column for column in columns or [] if column not in names]
    if missing:
        raise ValueError(
            f"the data at {place!r} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"it has {', '.join(names)}"
        )
    return names if columns is None else [*columns, *(column for column in optional if column in names)]


def splits(source: str) -> list[str]:
    """Names of the splits that `source` has; a single file is "train". Raises as `load` does."""
    files, _ = _asked(source, lambda: _local(source))
    place = resolve(source)
    return list(files) or _asked(source, lambda: get_dataset_split_names(place, HUB_CONFIGS.get(place)))


def has_rows(source: str) -> bool:
    """Whether a folder holds files of rows, or others whose README says that they do. Raises as `load` does."""
    folder = Path(resolve(source))
    return bool(_table_files(folder) or _readme(folder, HUB_CONFIGS.get(source))[0])


def head(source: str, split: str, count: int) -> tuple[pa.Table, Features]:
    """The first rows of a split, at most `count`, and the features of its columns. Raises as `load` does.

    Of Parquet files on this machine no more is read than these; other files are read whole, and what is on the Hub is
    fetched.
    """
    files, known = _asked(source, lambda: _local(source))
    if not files or not files[split][0].endswith(".parquet"):
        rows = load_files(source, split)[0]
        return rows.with_format("arrow")[:count], rows.features
    first = files[split][0]
    table = _asked(source, lambda: _first_rows(first, count))
    own = _asked(source, lambda: Features.from_arrow_schema(table.schema))
    return table, Features({name: (known or {}).get(name, own[name]) for name in own})


def _first_rows(file: str, count: int) -> pa.Table:
    with parquet.ParquetFile(file) as opened:
        batches = opened.iter_batches(count)
        return pa.Table.from_batches([next(batches, pa.RecordBatch.from_pylist([], opened.schema_arrow))])


def local_class_names(source: str, column: str) -> list[str] | None:
    """Names of the classes in a column of Parquet files on this machine, by what these say of their columns.

    None where they name none, or where `source` is not such files or cannot be read: `load` says why.
    """
    if not Path(resolve(source)).exists():
        return None
    try:
        files, features = _asked(source, lambda: _local(source))
        first = next(iter(files.values()))[0] if files else ""
        parquets = first.endswith(".parquet")
        own = _asked(source, lambda: Features.from_arrow_schema(parquet.read_schema(first))) if parquets else {}
    except (ValueError, FileNotFoundError):
        return None
    return getattr((features or {}).get(column) or own.get(column), "names", None)


def _local(source: str) -> tuple[dict[str, list[str]], Features | None]:
    """Files of rows of each split, and their features where a README gives them.

    No files where `source` is not made of such files on this machine. Raises ValueError for a folder that cannot be
    read, or whose README sends `datasets` to files elsewhere.
    """
    place = resolve(source)
    folder = Path(place)
    if not folder.is_dir():
        return {"train": [place]} if place.endswith(table_file.SUFFIXES) else {}, None
    named, features = _readme(folder, HUB_CONFIGS.get(source))
    files = named or _table_files(folder)
    if files and all(file.endswith(table_file.SUFFIXES) for part in files.values() for file in part):
        order = sorted(files, key=lambda split: (split != "train", split))
        return {split: sorted(files[split], key=by_numbers) for split in order}, features
    _refuse_unreadable(folder)
    _builder(folder, None)  # stays inside?
    return {}, None


def _readme(folder: Path, name: str | None) -> tuple[dict[str, list[str]], Features | None]:
    """What the README of a folder says, as on the Hub: the files of each split, and the columns' features."""
    card = folder / "README.md"
    said = DatasetCard.load(card, ignore_metadata_errors=True).data.to_dict() if card.is_file() else {}
    if not (said.get("configs") or said.get("dataset_info")):
        return {}, None
    names = [one.get("config_name") for one in said.get("configs", [])]
    builder = _builder(folder, name if name in names else None)
    files = builder.config.data_files if said.get("configs") else {}
    return {str(split): list(part) for split, part in files.items()}, builder.info.features


def _builder(folder: Path, name: str | None) -> DatasetBuilder:
    """What `datasets` makes of a folder. Raises ValueError where a README names files outside of it."""
    with tempfile.TemporaryDirectory() as unused:  # it writes there only what it reads
        builder = load_dataset_builder(str(folder), name, cache_dir=unused)
    for files in builder.config.data_files.values():
        for file in files:
            inside = os.path.abspath(folder)  # noqa: PTH100 (links are followed by `resolve`, and '..' kept by `absolute`)
            if not Path(os.path.abspath(file)).is_relative_to(inside):  # noqa: PTH100
                raise ValueError(f"its README names {file}, which lies outside of the folder; move it there")
    return builder


def _table_files(folder: Path) -> dict[str, list[str]]:
    """Every Parquet file below a folder, under its split; where all files are of rows, the others, too.

    Beside images, a table of another kind describes these.
    """
    within = folder / "data" if (folder / "meta" / "info.json").is_file() else folder
    found = [file for file in sorted(within.rglob("*")) if file.is_file() and file.name != "README.md"]
    found = [file for file in found if not any(part.startswith((".", "__")) for part in file.relative_to(within).parts)]
    if not all(file.name.endswith(table_file.SUFFIXES) for file in found):
        found = [file for file in found if file.suffix == ".parquet"]
    files: dict[str, list[str]] = {}
    for file in found:
        files.setdefault(_split_of(file.relative_to(within).parts), []).append(str(file))
    return files


def _split_of(parts: tuple[str, ...]) -> str:
    """The split that a path names: by a word for one, its last part first, by data/NAME-00000-of-00001, or train."""
    for part in reversed(parts):
        for word in re.findall("[a-z]+", part.lower()):
            for split, words in SPLIT_KEYWORDS.items():
                if word in words:
                    return str(split)
    named = re.search(r"(?:^|/)data/([a-z]\w*)-\d{5}-of-\d{5}\.parquet$", "/".join(parts))
    return named[1] if named else "train"


def by_numbers(path: str) -> list[str | int]:
    """A key to sort names by, such that part-2 comes before part-10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path)]


def _refuse_unreadable(folder: Path) -> None:
    """Raises ValueError for a folder without Parquet files that `datasets` cannot read either."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if not names:
        raise ValueError("the folder is empty")
    if glob.has_magic(str(folder)):
        raise ValueError("`datasets` does not open folders with *, ?, [ or ] in their names; rename it")
    refuse_idx(folder)


def refuse_idx(folder: Path) -> None:
    """Raises ValueError for a folder with files in MNIST's own format."""
    if any("-ubyte" in path.name for path in folder.iterdir()):
        raise ValueError(
            f"the files of {str(folder)!r} are in MNIST's IDX format; write them as Parquet, as "
            "docs/reference/mlp.md shows"
        )


def _read(file: str, names: list[str], named: bool, features: Features | None) -> Dataset:
    """These columns of a file."""
    table = table_file.read(file, names, named)
    known = {name: kind for name, kind in (features or {}).items() if name in names}
    if known:
        own = Features.from_arrow_schema(table.schema)
        table = table_cast(table, Features({name: known.get(name, own[name]) for name in names}).arrow_schema)
    return _dataset(table)


def _dataset(table: pa.Table) -> Dataset:
    # A name of its own: `datasets` would take one from all contents, and slowly.
    return Dataset(InMemoryTable(table), DatasetInfo(), fingerprint="firstlight")


def _asked(source: str, call: Callable[[], Any]) -> Any:
    """What `call` returns; its errors are reworded in one line."""
    try:
        return call()
    except Exception as error:
        place = resolve(source)
        if Path(place).exists():
            raise ValueError(f"the data at {place!r} cannot be read as rows: {_first_line(error)}") from error
        for cache in (config.HF_DATASETS_CACHE, HF_HUB_CACHE):
            if not _writable(Path(cache)):
                raise ValueError(
                    f"{source!r} cannot be fetched from the Hugging Face Hub: {cache}, where it is kept, cannot be "
                    "written; set HF_HOME to a folder that can be"
                ) from error
        if not isinstance(error, FileNotFoundError | ConnectionError):
            raise ValueError(f"the data at {place!r} cannot be read as rows: {_first_line(error)}") from error
        root = os.environ.get(DATA_VARIABLE)
        looked = f"{DATA_VARIABLE}={root}" if root else f"{DATA_VARIABLE} (not set)"
        folder = LOCAL_FOLDERS.get(source, source)
        raise FileNotFoundError(
            f"no data found for source {source!r}: it is no file or folder here, not under {looked}, and the Hugging "
            f"Face Hub did not give it; set {DATA_VARIABLE} to a folder that holds {folder!r}, "
            "pass a folder with files of rows as the source, or connect to the network once"
        ) from error


def _writable(folder: Path) -> bool:
    """Whether a folder, or the nearest above it that is there, can be written in."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _first_line(error: BaseException) -> str:
    return (str(error.__cause__ or error).strip() or type(error).__name__).splitlines()[0]
