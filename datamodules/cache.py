"""Tensors and files that are made once and then read from a file.

Files lie in the folder that the environment variable FIRSTLIGHT_CACHE names, or else in ~/.cache/firstlight. They may
be deleted at any time.
"""

import contextlib
import hashlib
import json
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

CACHE_VARIABLE = "FIRSTLIGHT_CACHE"
HEADER = 512  # bytes before the tensors of a file whose rows are written one after another


def folder() -> Path:
    """Where the files lie."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "firstlight")


def digest(parts: Iterable[bytes]) -> str:
    """A short name for contents: 16 hexadecimal digits of their SHA-256."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()[:16]


def cached_rows(
    key: str, count: int, shape: Sequence[int], make: Callable[[], Iterator[np.ndarray | None]], in_memory: float
) -> dict[str, Tensor]:
    """At most `count` rows of uint8 that are made one after another, and written so: in memory lies only one.

    They are read from the file where they are used: it is mapped into memory.

    Args:
        key: names the file.
        count: how many `make` gives.
        shape: of a row.
        make: gives each row; None for one that is left out.
        in_memory: bytes that may lie in memory where no file can be written.

    Returns:
        "rows": (n, *shape) uint8, and "kept": (count,) bool, which of them these are.

    Raises ValueError where no file can be written for more than `in_memory` bytes; fewer are then kept nowhere, and a
    warning says so.
    """
    path, size = _path(key), count * math.prod(shape)
    try:
        return load_file(path)
    except (OSError, SafetensorError):  # not there yet, or broken
        part = path.with_suffix(f".{uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            _write_rows(file, shape, make())
        part.replace(path)
        return load_file(path)
    except OSError as error:
        advice = f"set {CACHE_VARIABLE} to a folder that can be written"
        if size > in_memory:
            raise ValueError(
                f"{size / 1e9:.3g} GB of decoded data cannot be kept in {path.parent} ({error}), and are more than the "
                f"{in_memory / 1e9:.3g} GB that may lie in memory; {advice}"
            ) from error
        warnings.warn(f"cannot keep decoded data in {path.parent} ({error}); {advice}", stacklevel=2)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    rows = list(make())
    kept = [row for row in rows if row is not None]
    whole = np.stack(kept) if kept else np.empty((0, *shape), np.uint8)
    return {"rows": torch.from_numpy(whole), "kept": torch.tensor([row is not None for row in rows], dtype=torch.bool)}


def _write_rows(file: BinaryIO, shape: Sequence[int], rows: Iterable[np.ndarray | None]) -> None:
    """A safetensors file, whose header is written last, when the number of rows is known."""
    file.write(bytes(HEADER))
    kept = []
    for row in rows:
        kept.append(row is not None)
        if row is not None:
            file.write(np.ascontiguousarray(row).tobytes())
    file.write(np.array(kept, bool).tobytes())
    ends = [0, sum(kept) * math.prod(shape), sum(kept) * math.prod(shape) + len(kept)]
    tensors = {
        "rows": {"dtype": "U8", "shape": [sum(kept), *shape], "data_offsets": ends[:2]},
        "kept": {"dtype": "BOOL", "shape": [len(kept)], "data_offsets": ends[1:]},
    }
    file.seek(0)
    file.write((HEADER - 8).to_bytes(8, "little") + json.dumps(tensors).encode().ljust(HEADER - 8))


def cached(key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What `make` returns, read from the file of that key where there is one.

    A file that cannot be read is made again. Where nothing can be written a warning says so and nothing is kept.
    """
    path = _path(key)
    try:
        return load_file(path)
    except (OSError, SafetensorError):  # not there yet, or broken
        tensors = make()
    keep(path, lambda part: save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part))
    return tensors


def holds(key: str) -> bool:
    """Whether there is a file of that key."""
    return _path(key).is_file()


def _path(key: str) -> Path:
    return folder() / f"{key}.safetensors"


def keep(path: Path, write: Callable[[Path], None]) -> None:
    """Make a file of the cache: `write` is given its path until it is whole. Warns where nothing can be written."""
    # Renamed when whole: nobody ever reads half a file, whoever else, here or on another machine, makes the same one.
    part = path.with_suffix(f".{uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        part.replace(path)
    except (OSError, SafetensorError) as error:
        advice = f"set {CACHE_VARIABLE} to a folder that can be written"
        warnings.warn(f"cannot keep decoded data in {path.parent} ({error}); {advice}", stacklevel=3)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
