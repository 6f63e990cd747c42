"""Images as they lie in files or in rows, not yet decoded, with their classes.

    `datamodules.image_sources` ─► EncodedImages of a split ─► decoded (`datamodules.decoded_images`)

N images of a split.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules import cache
from datamodules.image_folder import printable
from datamodules.image_reader import look


@dataclass(frozen=True)
class EncodedImages:
    """Files, or the bytes of files, and the classes of their images.

    Args:
        files: N paths or contents of image files.
        labels: (N,) int64.
        class_names: what the classes are called.
        source: where they come from, for messages.
        places: what each is called in messages, where it is not a file: its row.
        digests: what tells their contents apart, where that is known without reading them.
    """

    files: Sequence[bytes | Path]
    labels: Tensor
    class_names: tuple[str, ...]
    source: str
    places: Sequence[int] = field(default=(), repr=False)
    digests: Sequence[bytes] = field(default=(), repr=False)

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
        return replace(
            self,
            files=[self.files[index] for index in chosen],
            labels=self.labels[indices],
            places=[self.places[index] if len(self.places) else index for index in chosen],
            digests=[self.contents[index] for index in chosen],
        )

    @cached_property
    def contents(self) -> Sequence[bytes]:
        """A digest of each file's bytes: equal files have equal ones.

        Those of files on a disk are kept in the cache while paths, sizes and times of change stay the same.
        """
        if self.digests:
            return self.digests
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
