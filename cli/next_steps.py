"""The last lines of a run: where it is, what to look at, and the next command."""

import shlex
from pathlib import Path

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger

from callbacks.best_checkpoint import BestCheckpoint
from checkpoints import runs
from cli.command_words import split

SHOWN = 6  # files to look at
TOP = ("predictions*.csv", "actions*.parquet", "drawn/grid.png")
KINDS = ("videos", "images", "text")  # folders of `callbacks.log_media`, the most telling first
# What data take for `predict` to answer, and an example; of several, the first.
ASKED = {"numbers": "[5, 3, 9]", "text": "your own text", "prompt": "The", "images": "FOLDER"}


def next_steps(
    subcommand: str, args: list[str], run: Path, trainer: L.Trainer, data: L.LightningDataModule | None
) -> list[str]:
    """The lines.

    Args:
        subcommand: that has been done.
        args: the words of its command line.
        run: its folder.
        trainer: that did it.
        data: that it was done with.
    """
    rows = [("run", [str(run)] if any(path.name != runs.LOCK for path in run.glob("*")) else [])]
    best = next((own for own in trainer.checkpoint_callbacks if isinstance(own, BestCheckpoint)), None)
    if subcommand == "fit" and best is not None and best.best_model_path:
        score = "" if best.best_model_score is None else f", {best.monitor} {best.best_model_score:.4g}"
        rows.append(("best", [f"{_within(run, best.best_model_path)}{score}"]))
    rows.append(("look at", [str(file) for file in to_look_at(run)]))
    if any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers):
        rows.append(("curves", [f"tensorboard --logdir {shlex.quote(str(run.parent.parent))}"]))
    rows.append(("next", [shlex.join(_then(subcommand, args, run, trainer.lightning_module, best, data))]))
    return [f"{'' if number else name:<8}{line}" for name, own in rows for number, line in enumerate(own)]


def to_look_at(run: Path) -> list[Path]:
    """The newest file of every kind that a run keeps for people to see, at most six."""
    found = [file for pattern in TOP for file in sorted(run.glob(pattern))]
    for kind in KINDS:
        newest: dict[Path, Path] = {}
        for file in sorted(path for path in run.glob(f"{kind}/**/*") if path.is_file()):  # named by their steps
            newest[file.parent] = file
        found += newest.values()
    return found[:SHOWN]


def _then(
    subcommand: str,
    args: list[str],
    run: Path,
    module: L.LightningModule,
    best: BestCheckpoint | None,
    data: L.LightningDataModule | None,
) -> list[str]:
    """The words of the next command."""
    if subcommand == "fit":
        checkpoint = best.best_model_path if best is not None and best.best_model_path else run / runs.LAST
        config = ["--config", str(run / runs.CONFIG), "--ckpt_path", str(_within(run, checkpoint))]
        return ["python", "train.py", "test", *config]
    if subcommand == "validate":
        return ["python", "train.py", "test", *args[1:]]
    known = {} if data is None or "num_samples" in module.hparams else data.hparams  # without, it draws
    name = next((name for name in ASKED if name in known), None)
    if subcommand == "predict" and name is None:
        return ["python", "train.py"]  # which lists what else there is
    others, _ = split(args[1:], *(f"data.{asked}" for asked in ASKED))
    return ["python", "train.py", "predict", *others, *([f"--data.{name}", ASKED[name]] if name else [])]


def _within(run: Path, path: str | Path) -> Path:
    """A path as the run's folder is called, for a file that lies in it."""
    path, folder = Path(path), run.absolute()
    return run / path.relative_to(folder) if path.is_relative_to(folder) else path
