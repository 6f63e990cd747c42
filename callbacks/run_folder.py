"""Where the files of a run go."""

from pathlib import Path

import lightning as L

from callbacks.resume.run_config import RunConfig


def run_folder(trainer: L.Trainer) -> Path:
    """The folder of a run of the command line; elsewhere that of the first logger, else `default_root_dir`.

    With several processes only the first one's answer is right (see `shared_run_folder`).
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
        if isinstance(callback, RunConfig):
            return callback.folder
    for logger in trainer.loggers[:1]:
        return Path(getattr(logger, "log_dir", None) or logger.save_dir or trainer.default_root_dir)
    return Path(trainer.default_root_dir)


def shared_run_folder(trainer: L.Trainer) -> Path:
    """The first process's `run_folder`, in all processes. Every process must call it."""
    return Path(trainer.strategy.broadcast(str(run_folder(trainer))))
