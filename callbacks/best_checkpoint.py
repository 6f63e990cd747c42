"""The checkpoints that a monitored metric calls the best."""

import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

BEST = "best"


class BestCheckpoint(ModelCheckpoint):
    """`best.ckpt` is the run's best checkpoint by the metric that the config monitors; without a monitor there is none.

    With `save_top_k` other than 1 each file is named by its epoch, step and metric, and `best.ckpt` is a second name of
    the best one. A file's metric is always that of its own weights: none is written at the end of an epoch that stopped
    before its validation.

    Args:
        monitor: the metric, such as val/accuracy.
        mode: "max" where more is better, "min" where less is.
        save_top_k: how many to keep, -1 for all.
        filename: of each, with {epoch}, {step} and metrics in it; by default "best", or as above.
        every_n_train_steps: write every so many steps; without a monitor the newest, named by its epoch and step.
        train_time_interval: or every so much time, likewise.
        every_n_epochs: or every so many epochs, likewise; after every validation by default.
        auto_insert_metric_name: whether `filename` says epoch=3 where it asks for {epoch}.
        enable_version_counter: give a file another name where one has that name already, instead of replacing it.
        **options: those of Lightning's `ModelCheckpoint`.
    """

    def __init__(
        self,
        monitor: str | None = None,
        mode: str = "min",
        save_top_k: int = 1,
        filename: str | None = None,
        every_n_train_steps: int | None = None,
        train_time_interval: timedelta | None = None,
        every_n_epochs: int | None = None,
        auto_insert_metric_name: bool = True,
        enable_version_counter: bool = False,
        **options,
    ):
        filename = None if filename == BEST else filename
        asked_for = filename or every_n_train_steps or train_time_interval or every_n_epochs
        if monitor is None and save_top_k == 1 and not asked_for:
            save_top_k = 0  # the newest is last.ckpt
        if filename is None and monitor is not None:
            name = monitor.replace("/", "_")
            filename = BEST if save_top_k == 1 else f"epoch={{epoch}}-step={{step}}-{name}={{{monitor}:.4f}}"
            auto_insert_metric_name = False
        super().__init__(
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            filename=filename,
            every_n_train_steps=every_n_train_steps,
            train_time_interval=train_time_interval,
            every_n_epochs=every_n_epochs,
            auto_insert_metric_name=auto_insert_metric_name,
            enable_version_counter=enable_version_counter,
            **options,
        )
        self._validated_at = -1  # global step

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._validated_at = trainer.global_step
        super().on_validation_end(trainer, module)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.is_last_batch or self._validated_at == trainer.global_step:
            super().on_train_epoch_end(trainer, module)

    def _save_topk_checkpoint(self, trainer: L.Trainer, monitor_candidates: dict) -> None:
        super()._save_topk_checkpoint(trainer, monitor_candidates)
        best = Path(self.best_model_path)
        if self.monitor is not None and trainer.is_global_zero and best.is_file():
            _name_also(best, best.with_name(BEST + self.FILE_EXTENSION))

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        super().on_train_end(trainer, module)
        fast_dev_run = trainer.fast_dev_run  # type: ignore[attr-defined]  # set by a connector
        if self.monitor is None or not self.save_top_k or self.best_model_path or fast_dev_run:
            return
        if trainer.is_global_zero:
            print(
                f"no best.ckpt: {self.monitor} was not measured in these {trainer.global_step} steps "
                f"(check_val_every_n_epoch={trainer.check_val_every_n_epoch}, val_check_interval="
                f"{trainer.val_check_interval}); last.ckpt holds the newest weights",
                file=sys.stderr,
            )


def _name_also(file: Path, name: Path) -> None:
    """Give a file a second name, replacing any file that has it, in one move; on a disk without hard links copy it."""
    if name.exists() and name.samefile(file):
        return
    partial = name.with_name(name.name + ".part")
    partial.unlink(missing_ok=True)
    try:
        os.link(file, partial)
    except OSError:
        shutil.copyfile(file, partial)
    partial.replace(name)
