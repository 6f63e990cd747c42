"""Where labelled images lie, and how those of a split are read from there.

    folder of classes ────────┐
    Parquet, Hub id ──────────┼─► EncodedImages of each split
    digits drawn from fonts ──┘   (`datamodules.fonts`)

N images of a split.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from datasets import Dataset, Features
from torch import Tensor

from datamodules import sources
from datamodules.encoded_images import EncodedImages
from datamodules.image_folder import ImageFolder

LOOKS = 64  # images that are looked at before any is read
LABEL_NAMES = ("label", "labels", "class", "target", "category")
COLUMNS = "say which hold images and labels with --data.image_column and --data.label_column"


class ImageSource(Protocol):
    """Images and their classes, in splits."""

    @property
    def splits(self) -> Sequence[str]:
        """Their names; "train" is one. Raises as reading does."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the training split, whatever it takes to find them. Raises as reading does."""

    def names_at_hand(self) -> Sequence[str] | None:
        """Names of classes that the source says before anything is fetched or read; None where it does not."""

    def head(self) -> Sequence[bytes | Path]:
        """A few images to train on. Raises as reading does."""

    def read(self, split: str, class_names: Sequence[str], other_names: bool = False) -> EncodedImages:
        """A split's images; a class is the place of its name in `class_names`.

        Where `other_names`, names of other classes, if the data have such, take the place of `class_names`. Raises
        FileNotFoundError where there is nothing at the source, ValueError where it does not hold such images.
        """


class FolderSource:
    """Images in the folders of their classes (`datamodules.image_folder`). Raises as `ImageFolder`."""

    def __init__(self, source: str):
        self.source, self.folder = source, ImageFolder(Path(sources.resolve(source)))
        self.splits, self.class_names = list(self.folder.splits), self.folder.class_names

    def names_at_hand(self) -> Sequence[str]:
        """Those of its folders."""
        return self.class_names

    def head(self) -> list[bytes | Path]:
        """A few images to train on, from all over the set."""
        files = [file for files in self.folder.splits["train"].values() for file in files]
        return list(files[:: max(1, len(files) // LOOKS)])

    def read(self, split: str, class_names: Sequence[str], other_names: bool = False) -> EncodedImages:
        """A split's images. Raises ValueError where it has another class than `class_names`, or is not there."""
        if split not in self.splits:
            raise ValueError(
                f"{self.source!r} has no split {split!r}, only {', '.join(self.splits)}; add a folder {split}/"
            )
        classes = self.folder.splits[split]
        unknown = [name for name in classes if name not in class_names]
        if unknown:
            raise ValueError(
                f"the {split} split of {self.source!r} has the class {unknown[0]!r}, which is none of "
                f"{', '.join(class_names)}"
            )
        files = [file for files in classes.values() for file in files]
        labels = [class_names.index(name) for name, files in classes.items() for _ in files]
        return EncodedImages(files, torch.tensor(labels), tuple(class_names), self.source)


class RowSource:
    """Images in rows, of Parquet files or a data set of the Hub. Nothing is fetched before it is asked for.

    Args:
        source: as `datamodules.sources`.
        image_column: which column holds images; None for the only one that does.
        label_column: which holds classes: numbers or names; None for the only one that can, or one called `label`.

    Raises FileNotFoundError where there is nothing at the source, ValueError where it has no such column.
    """

    def __init__(self, source: str, image_column: str | None = None, label_column: str | None = None):
        self.source = source
        self.image_column = image_column or self._only("image", _holds_images)
        self.label_column = label_column or self._only("label", _holds_classes)

    @cached_property
    def splits(self) -> list[str]:
        """Of the files' names, or the Hub's."""
        found = sources.splits(self.source)
        if "train" not in found:
            raise ValueError(f"{self.source!r} has no split to train on, only {', '.join(found)}; name one train")
        return found

    @cached_property
    def _head(self) -> tuple[pa.Table, Features]:
        assert "train" in self.splits  # or else it says so
        return sources.head(self.source, "train", LOOKS)

    def _only(self, what: str, holds: Callable[[Any], bool]) -> str:
        features = self._head[1]
        able = [name for name in features if holds(features[name])]
        usual = [name for name in able if name.lower() in LABEL_NAMES] if what == "label" else []
        for choice in (able, usual, usual[:1]):
            if len(choice) == 1:
                return choice[0]
        found = f"could be {', '.join(able)}" if able else f"is none of {', '.join(features)}"
        raise ValueError(f"which column of {self.source!r} holds the {what} {found}; say it with --data.{what}_column")

    def _feature(self, column: str) -> Any:
        features = self._head[1]
        if column not in features:
            raise ValueError(f"{self.source!r} lacks the column {column}; it has {', '.join(features)}; {COLUMNS}")
        return features[column]

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names that the data give; else the values of the label column, in order."""
        if names := getattr(self._feature(self.label_column), "names", None):
            return tuple(names)
        parts = sources.load_files(self.source, "train", [self.label_column])
        column = pa.chunked_array([chunk for rows in parts for chunk in rows.data.table.column(0).chunks])
        if column.null_count or not (pa.types.is_integer(column.type) or _is_text(column.type)):
            raise ValueError(
                f"column {self.label_column} of {self.source!r} must hold whole numbers or names of classes in every "
                f"row; it holds {column.type}{', and none in some rows' if column.null_count else ''}"
            )
        values = pc.unique(column).to_pylist()
        return tuple(str(value) for value in sorted(values, key=sources.by_numbers if _is_text(column.type) else None))

    def names_at_hand(self) -> Sequence[str] | None:
        """Those that Parquet files on this machine say."""
        return sources.local_class_names(self.source, self.label_column)

    def head(self) -> list[bytes | Path]:
        """The first images to train on."""
        self._feature(self.image_column)
        column, what = self._head[0].column(self.image_column), f"column {self.image_column} of {self.source!r}"
        return list(_files(column, what, sources.resolve(self.source)))

    def read(self, split: str, class_names: Sequence[str], other_names: bool = False) -> EncodedImages:
        """A split's images; a class is the place of its name, whatever number the data have for that name.

        Numbers without names are places in `class_names`, or names themselves where these are other numbers.
        """
        labels, files = [], []
        for rows in self._rows(split):
            names = getattr(rows.features[self.label_column], "names", None)
            if other_names and names and not set(names) <= set(class_names):
                class_names, other_names = names, False
            table, what = rows.with_format("arrow")[:], f"column {self.label_column} of {self.source!r}"
            column = table.column(self.label_column)
            if names is None and _are_numbers(class_names) and pa.types.is_integer(column.type):
                column = column.cast(pa.string())
            labels.append(_labels(column, what, class_names, names))
            what = f"column {self.image_column} of {self.source!r}"
            files += _files(table.column(self.image_column), what, sources.resolve(self.source))
        return EncodedImages(files, torch.cat(labels), tuple(class_names), self.source)

    def _rows(self, split: str) -> list[Dataset]:
        try:
            return sources.load_files(self.source, split, [self.image_column, self.label_column])
        except ValueError as error:
            if "lacks the column" not in str(error):
                raise
            raise ValueError(f"{error}; {COLUMNS}") from error


def open_source(source: str, image_column: str | None = None, label_column: str | None = None) -> ImageSource:
    """What lies at a source: a folder of image files, or rows. Raises as these do."""
    place = Path(sources.resolve(source))
    if place.is_dir() and not sources.has_rows(source):
        sources.refuse_idx(place)
        return FolderSource(source)
    return RowSource(source, image_column, label_column)


def _are_numbers(class_names: Sequence[str]) -> bool:
    """Whether classes are called by numbers that are not their places."""
    numbers = all(name.removeprefix("-").isdecimal() for name in class_names)
    return numbers and list(class_names) != [str(place) for place in range(len(class_names))]


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _holds_images(feature: Any) -> bool:
    if isinstance(feature, dict):
        return {"bytes", "path"} <= feature.keys()
    return type(feature).__name__ == "Image" or getattr(feature, "dtype", "") in ("binary", "large_binary")


def _holds_classes(feature: Any) -> bool:
    kind = str(getattr(feature, "dtype", ""))
    return hasattr(feature, "names") or kind.startswith(("int", "uint")) or kind in ("string", "large_string")


def _labels(column: pa.ChunkedArray, what: str, class_names: Sequence[str], names: Sequence[str] | None) -> Tensor:
    """Places in `class_names`, from labels that are these, or numbers of `names`, or names themselves."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        encoded = column.combine_chunks().dictionary_encode()
        names, column = encoded.dictionary.to_pylist(), encoded.indices
    unknown = [name for name in names or () if name not in class_names]
    if unknown:
        raise ValueError(
            f"{what} names the class {unknown[0]!r}, which is none of {', '.join(class_names)}; "
            "say what they are with --data.class_names"
        )
    count = len(class_names if names is None else names)
    if not pa.types.is_integer(column.type) or column.null_count:
        raise ValueError(f"{what} must hold whole numbers from 0 to {count - 1}; it holds {column.type}")
    labels = torch.from_numpy(column.to_numpy().astype(np.int64))
    if len(labels) and (labels.min() < 0 or labels.max() >= count):
        raise ValueError(f"{what} holds labels from {labels.min()} to {labels.max()}; allowed are 0 to {count - 1}")
    places = range(count) if names is None else map(class_names.index, names)
    return torch.tensor(list(places))[labels]


def _files(column: pa.ChunkedArray, what: str, place: str) -> list[bytes]:
    """Encoded images, from a column of their bytes or one as `datasets` keeps images.

    The latter holds their bytes, or else paths of files that lie in the folder of the data.
    """
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        if column.null_count:
            raise ValueError(f"{what} holds no image in {column.null_count} of its rows")
        return column.to_pylist()
    if not (pa.types.is_struct(column.type) and {"bytes", "path"} <= {field.name for field in column.type}):
        raise ValueError(f"{what} holds {column.type} where images are needed (PNG or JPEG)")
    encoded, paths = (pc.struct_field(column, name).to_pylist() for name in ("bytes", "path"))
    pairs = zip(encoded, paths, strict=True)
    return [_beside(path, what, place) if data is None else data for data, path in pairs]


def _beside(path: str | None, what: str, place: str) -> bytes:
    """The file at a path that data name: no file but one in their own folder, whatever `..` and links say."""
    folder = (Path(place) if Path(place).is_dir() else Path(place).parent).resolve()
    file = (folder / (path or "")).resolve()
    if not (file.is_relative_to(folder) and file.is_file()):
        raise ValueError(f"{what} names the image {path!r}, which is no file in {folder}; put the images' bytes there")
    return file.read_bytes()
