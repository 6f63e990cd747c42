"""Images as they lie in files or in rows, not yet decoded, with their classes.

    folder of classes ─┐
    Parquet, Hub id ───┴─► EncodedImages of each split ─► decoded (`datamodules.decoded_images`)

N images of a split.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from datasets import Features
from torch import Tensor

from datamodules import cache, sources
from datamodules.image_folder import ImageFolder, printable
from datamodules.image_reader import look

LOOKS = 64  # images that are looked at before any is read
LABEL_NAMES = ("label", "labels", "class", "target", "category")


@dataclass(frozen=True)
class EncodedImages:
    """Files, or the bytes of files, and the classes of their images.

    Args:
        files: N paths or contents of image files.
        labels: (N,) int64.
        class_names: what the classes are called.
        source: where they come from, for messages.
        places: what each is called in messages, where it is not a file: its row.
    """

    files: Sequence[bytes | Path]
    labels: Tensor
    class_names: tuple[str, ...]
    source: str
    places: Sequence[int] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[bytes | Path]:
        return iter(self.files)

    def name(self, index: int) -> str:
        """What to call an image in a message."""
        file = self.files[index]
        if isinstance(file, Path):
            return printable(file)
        return f"image {self.places[index] if len(self.places) else index} of {self.source!r}"

    def subset(self, indices: Tensor) -> "EncodedImages":
        """Some of them, in this order."""
        chosen = indices.tolist()
        part = replace(
            self,
            files=[self.files[index] for index in chosen],
            labels=self.labels[indices],
            places=[self.places[index] if len(self.places) else index for index in chosen],
        )
        if "contents" in self.__dict__:
            part.__dict__["contents"] = [self.contents[index] for index in chosen]
        return part

    @cached_property
    def contents(self) -> list[bytes]:
        """A digest of each file's bytes: equal files have equal ones.

        Those of files on a disk are kept in the cache while paths, sizes and times of change stay the same.
        """
        if not any(isinstance(file, Path) for file in self.files):
            return [_digest(file) for file in self.files]
        states = (repr((str(file), *_state(file))).encode("utf-8", "surrogateescape") for file in self.files)
        key = f"contents-{cache.digest(states)}"
        kept = cache.cached(key, lambda: {"digests": _rows([_digest(file) for file in self.files])})
        return [bytes(row) for row in kept["digests"].numpy()]


def _digest(file: bytes | Path) -> bytes:
    """16 bytes of SHA-256; of a file that cannot be read, of its path."""
    try:
        content = contents_of(file)
    except (ValueError, OSError):
        content = str(file).encode("utf-8", "surrogateescape")
    return hashlib.sha256(content).digest()[:16]


def _rows(digests: list[bytes]) -> Tensor:
    return torch.from_numpy(np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16).copy())


def _state(file: bytes | Path) -> tuple[int, int]:
    try:
        state = Path(file).stat()  # type: ignore[arg-type]  # only asked of paths
        return state.st_size, state.st_mtime_ns
    except OSError:  # a link to nothing
        return -1, -1


def contents_of(file: bytes | Path) -> bytes:
    """An image file's bytes. Raises ValueError for what is no file (a pipe would be waited for), OSError as reading."""
    if isinstance(file, bytes):
        return file
    if not file.is_file():
        raise ValueError("it is no file" if file.exists() else "it is a link to a file that is not there")
    return file.read_bytes()


class FolderSource:
    """Images in the folders of their classes (`datamodules.image_folder`). Raises as `ImageFolder`."""

    def __init__(self, source: str):
        self.source, self.folder = source, ImageFolder(Path(sources.resolve(source)))
        self.splits, self.class_names = list(self.folder.splits), self.folder.class_names

    def head(self) -> list[bytes | Path]:
        """A few images to train on, from all over the set."""
        files = [file for files in self.folder.splits["train"].values() for file in files]
        return list(files[:: max(1, len(files) // LOOKS)])

    def read(self, split: str, class_names: Sequence[str]) -> EncodedImages:
        """A split's images. Raises ValueError where it has another class than `class_names`."""
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
    """Images in rows, of Parquet files or a data set of the Hub.

    Args:
        source: as `datamodules.sources`.
        image_column: which column holds images; None for the only one that does.
        label_column: which holds classes: numbers or names; None for the only one that can, or one called `label`.

    Raises FileNotFoundError where there is nothing at the source, ValueError where it has no such column.
    """

    def __init__(self, source: str, image_column: str | None = None, label_column: str | None = None):
        self.source, self.splits = source, sources.splits(source)
        if "train" not in self.splits:
            raise ValueError(f"{source!r} has no split to train on, only {', '.join(self.splits)}; name one train")
        self._head, features = sources.head(source, "train", LOOKS)
        self.image_column = image_column or self._only(features, "image", _holds_images)
        self.label_column = label_column or self._only(features, "label", _holds_classes)
        for column in (self.image_column, self.label_column):
            if column not in features:
                raise ValueError(f"{source!r} lacks the column {column}; it has {', '.join(features)}")
        self.known_names = getattr(features[self.label_column], "names", None)

    def _only(self, features: Features, what: str, holds: Callable[[Any], bool]) -> str:
        able = [name for name in features if holds(features[name])]
        usual = [name for name in able if name.lower() in LABEL_NAMES] if what == "label" else []
        for choice in (able, usual, usual[:1]):
            if len(choice) == 1:
                return choice[0]
        found = f"could be {', '.join(able)}" if able else f"is none of {', '.join(features)}"
        raise ValueError(f"which column of {self.source!r} holds the {what} {found}; say it with --data.{what}_column")

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names that the data give; else the values of the label column, in order."""
        if self.known_names:
            return tuple(self.known_names)
        parts = sources.load_files(self.source, "train", [self.label_column])
        column = pa.chunked_array([chunk for rows in parts for chunk in rows.data.table.column(0).chunks])
        if column.null_count or not (pa.types.is_integer(column.type) or _is_text(column.type)):
            raise ValueError(
                f"column {self.label_column} of {self.source!r} must hold whole numbers or names of classes in every "
                f"row; it holds {column.type}{', and none in some rows' if column.null_count else ''}"
            )
        values = pc.unique(column).to_pylist()
        return tuple(str(value) for value in sorted(values, key=sources.by_numbers if _is_text(column.type) else None))

    def head(self) -> list[bytes | Path]:
        """The first images to train on."""
        column, what = self._head.column(self.image_column), f"column {self.image_column} of {self.source!r}"
        return list(_files(column, what, sources.resolve(self.source)))

    def read(self, split: str, class_names: Sequence[str]) -> EncodedImages:
        """A split's images. Raises ValueError where a row has no image or another class than `class_names`."""
        numbered = self.known_names is None and tuple(class_names) == self.class_names
        return read_rows(self.source, split, class_names, self.image_column, self.label_column, as_names=numbered)


def open_source(source: str, image_column: str | None, label_column: str | None) -> FolderSource | RowSource:
    """What lies at a source: a folder of image files, or rows. Raises as these do."""
    place = Path(sources.resolve(source))
    if place.is_dir() and not sources.has_rows(source):
        return FolderSource(source)
    return RowSource(source, image_column, label_column)


def read_rows(
    source: str,
    split: str,
    class_names: Sequence[str],
    image_column: str,
    label_column: str,
    other_names: bool = False,
    as_names: bool = False,
) -> EncodedImages:
    """The rows of a split.

    Args:
        source: as `datamodules.sources`.
        split: of it.
        class_names: a class is the place of its name in these, whatever number the data have for that name; without
            names in the data, labels are these places.
        image_column: holds images.
        label_column: holds classes.
        other_names: whether names of other classes, where the data have such, take the place of `class_names`.
        as_names: numbers without names are names themselves.

    Raises FileNotFoundError where there is nothing at the source, ValueError where it does not hold such rows.
    """
    labels, files = [], []
    for rows in sources.load_files(source, split, [image_column, label_column]):
        names = getattr(rows.features[label_column], "names", None)
        if other_names and names and not set(names) <= set(class_names):
            class_names, other_names = names, False
        table, what = rows.with_format("arrow")[:], f"column {label_column} of {source!r}"
        column = table.column(label_column)
        if as_names and pa.types.is_integer(column.type) and not column.null_count:
            column = column.cast(pa.string())
        labels.append(_labels(column, what, class_names, names))
        files += _files(table.column(image_column), f"column {image_column} of {source!r}", sources.resolve(source))
    return EncodedImages(files, torch.cat(labels), tuple(class_names), source)


def image_shape_of(files: Sequence[bytes | Path], source: str, size: Sequence[int] | None) -> tuple[int, int, int]:
    """C, H, W of images by a look at some: in colour where one is; of `size`, or else that of all.

    Raises ValueError where none can be read, or where their sizes differ and no `size` is given.
    """
    seen = []
    for file in files:
        try:
            seen.append(look(contents_of(file)))
        except (ValueError, OSError):
            continue  # it is reported when it is to be decoded
    if not seen:
        raise ValueError(f"none of {len(files)} images of {source!r} that were looked at can be read")
    channels, sizes = max(channels for channels, *_ in seen), sorted({(height, width) for _, height, width in seen})
    if size is None and len(sizes) > 1:
        some = " and ".join(f"{height} x {width}" for height, width in (sizes[0], sizes[-1]))
        raise ValueError(
            f"the images of {source!r} differ in size, such as {some} pixels; name one for all, such as --data.size 32"
        )
    height, width = sizes[0] if size is None else size
    return channels, height, width


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
