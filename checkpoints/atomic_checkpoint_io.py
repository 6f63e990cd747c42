"""Checkpoint files that are whole or not there at all."""

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

HANDED_BACK = ".temp.ckpt"  # what Lightning's spawned processes (ddp_spawn) hand back: weights alone


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's plugin to write and read checkpoints, for folders of this machine.

    A checkpoint is written beside its place, flushed to the disk and renamed, so that a process that is killed at any
    moment leaves the one from before. (Lightning writes to the system's temporary folder; from there to another disk a
    file is copied, and an interrupted copy leaves half a file.)

    A checkpoint holds tensors and plain values: hyperparameters that are objects are left out. They are in the run's
    config.yaml, which lies beside the checkpoints.

    Raises OSError where a file cannot be written, ValueError for one that is damaged or not a checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path = Path(path)
        partial = path.with_name(path.name + ".part")
        if "hyper_parameters" in checkpoint:
            hyperparameters = {name: v for name, v in checkpoint["hyper_parameters"].items() if _is_plain(v)}
            checkpoint = checkpoint | {"hyper_parameters": hyperparameters}
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise OSError(
                f"cannot write the checkpoint {path}: {error.strerror}; what was saved before is whole: make room "
                "and go on from there with --ckpt_path"
            ) from error

    def load_checkpoint(self, path: str | Path, map_location: Any = "cpu", weights_only: Any = None) -> dict[str, Any]:
        """Whatever is asked for, only tensors and plain values are read: nothing in a file can run."""
        try:
            checkpoint = super().load_checkpoint(path, map_location, weights_only=True)
        except OSError:
            raise
        except Exception as error:  # torch's reader raises errors of any kind on damaged bytes
            raise ValueError(
                f"{path} is torn, or no checkpoint: {' '.join(str(error).split())[:200]}; name another one "
                "of its folder"
            ) from error
        if Path(path).name == HANDED_BACK:
            return checkpoint
        for part in ("state_dict", "pytorch-lightning_version"):
            if not isinstance(checkpoint, dict) or part not in checkpoint:
                raise ValueError(f"{path} is no checkpoint of a Lightning run: it holds no {part}")
        return checkpoint


def _is_plain(value: Any) -> bool:
    """Whether weights-only loading reads a value back: numbers, strings, tensors, and collections of them."""
    if isinstance(value, dict):
        return type(value) is dict and all(_is_plain(part) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple):
        return type(value) in (list, tuple) and all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, complex, str, torch.Tensor)
