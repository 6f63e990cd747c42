"""Arrays in an .npz file, without pickle: opening one never runs code."""

import zipfile
from pathlib import Path

import numpy as np


def save(path: str | Path, arrays: dict[str, np.ndarray]) -> None:
    """Write named arrays; the file appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    unfinished.replace(path)


def load(path: str | Path) -> dict[str, np.ndarray]:
    """Read what `save` wrote; ValueError for anything else."""
    with Path(path).open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (zipfile.BadZipFile, ValueError, EOFError, OSError, RuntimeError, TypeError) as error:
            raise ValueError(f"{path} is not a whole .npz file of arrays without pickle; was it cut off?") from error
