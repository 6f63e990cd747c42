"""Tensors and files that are made once and then read from a file.

Files lie in the folder that the environment variable FIRSTLIGHT_CACHE names, or else in ~/.cache/firstlight. They may
be deleted at any time.
"""

import contextlib
import hashlib
import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import uuid4

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

CACHE_VARIABLE = "FIRSTLIGHT_CACHE"


def folder() -> Path:
    """Where the files lie."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "firstlight")


def digest(parts: Iterable[bytes]) -> str:
    """A short name for contents: 16 hexadecimal digits of their SHA-256."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()[:16]


def cached(key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What `make` returns, read from the file of that key where there is one.

    A file that cannot be read is made again. Where nothing can be written a warning says so and nothing is kept.
    """
    path = folder() / f"{key}.safetensors"
    try:
        return load_file(path)
    except (OSError, SafetensorError):  # not there yet, or broken
        tensors = make()
    keep(path, lambda part: save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part))
    return tensors


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
