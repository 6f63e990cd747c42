"""Images, tables and videos of a run: a file in its folder, and every logger that can show them.

    log_image ──► images/NAME/STEP.png    TensorBoard, W&B, MLflow
    log_table ──► text/NAME/STEP.md       likewise
    log_video ──► videos/NAME/STEP.mp4    likewise; TensorBoard shows an animated GIF

The first process calls them, with a NAME such as "val/confusion"; STEP is `trainer.global_step`. Other loggers, such as
the one that writes CSV, are given nothing. W&B and MLflow are recognised by the methods of Lightning's loggers for
them, and never imported.

C channels, H height, W width, T frames.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import imageio.v3 as iio
import lightning as L
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor

from callbacks.pillow_image import pillow_image
from callbacks.run_folder import run_folder
from limits import number

KEPT = 100  # files of each name
WANDB = ("log_image", "log_table", "log_video")


class _WandB(Protocol):
    """What is used of `lightning.pytorch.loggers.WandbLogger`."""

    def log_image(self, key: str, images: list[Any], *, step: int) -> None: ...
    def log_table(self, key: str, columns: list[str], data: list[list[Any]], *, step: int) -> None: ...
    def log_video(self, key: str, videos: list[Any], *, step: int) -> None: ...


class _MLflow(Protocol):
    """What is used of `lightning.pytorch.loggers.MLFlowLogger`."""

    experiment: Any
    run_id: str


def log_image(trainer: L.Trainer, name: str, image: Tensor) -> Path:
    """Keep and show an image (C, H, W) uint8 of one or three channels; returns its file."""
    path, step = _file(trainer, "images", name, "png"), trainer.global_step
    pillow_image(image).save(path)
    _thin_out(path.parent)
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, image, step)
        elif _is_wandb(logger):
            logger.log_image(name, [str(path)], step=step)
        elif _is_mlflow(logger):
            pixels = image.permute(1, 2, 0).cpu().numpy()  # (H, W, C)
            logger.experiment.log_image(logger.run_id, pixels, key=name, step=step)
    return path


def log_table(trainer: L.Trainer, name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    """Keep and show rows of texts under their columns; returns the file, which is Markdown."""
    path, step = _file(trainer, "text", name, "md"), trainer.global_step
    text = _markdown(columns, rows)
    path.write_text(text + "\n", encoding="utf-8")
    _thin_out(path.parent)
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_text(name, text, step)
        elif _is_wandb(logger):
            logger.log_table(name, columns=list(columns), data=[list(row) for row in rows], step=step)
        elif _is_mlflow(logger):
            logger.experiment.log_text(logger.run_id, text, f"text/{name}/{path.name}")
    return path


def log_video(trainer: L.Trainer, name: str, frames: np.ndarray, fps: int = 20) -> Path:
    """Keep and show frames (T, H, W, 3) uint8 as a video; returns its file.

    An odd height or width loses a pixel. Raises ValueError for an `fps` outside 1 to 100.
    """
    number("[1, 100]", fps=fps)
    path, step = _file(trainer, "videos", name, "mp4"), trainer.global_step
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]  # as H.264 asks for
    iio.imwrite(path, frames, fps=fps, codec="libx264", plugin="pyav")
    _thin_out(path.parent)
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            _add_gif(logger, name, frames, fps, step)
        elif _is_wandb(logger):
            logger.log_video(name, [str(path)], step=step)
        elif _is_mlflow(logger):
            logger.experiment.log_artifact(logger.run_id, str(path), f"videos/{name}")
    return path


def _is_wandb(logger: Any) -> TypeGuard[_WandB]:
    return all(callable(getattr(logger, method, None)) for method in WANDB)


def _is_mlflow(logger: Any) -> TypeGuard[_MLflow]:
    return hasattr(type(logger), "run_id") and callable(getattr(logger.experiment, "log_artifact", None))


def _file(trainer: L.Trainer, kind: str, name: str, suffix: str) -> Path:
    path = run_folder(trainer) / kind / name / f"{trainer.global_step:07d}.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _thin_out(folder: Path) -> None:
    """Delete every second file where there are more than KEPT: a long run keeps fewer of its early files."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    if len(files) > KEPT:
        for path in files[1:-1:2]:
            path.unlink()


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *(map(_cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """Text that Markdown does not interpret, on one line."""
    return "`` " + text.replace("|", "¦").replace("\n", "↵") + " ``"


def _add_gif(logger: TensorBoardLogger, name: str, frames: np.ndarray, fps: int, step: int) -> None:
    """TensorBoard shows an animated GIF as an image; its own `add_video` does the same through moviepy."""
    buffer = io.BytesIO()
    iio.imwrite(buffer, frames[::2], extension=".gif", duration=2000 / fps, loop=0)
    height, width = frames.shape[1:3]
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=buffer.getvalue())
    writer = logger.experiment._get_file_writer()  # `file_writer` is None before the first scalar
    writer.add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)
