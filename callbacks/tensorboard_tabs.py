"""What TensorBoard shows beside the curves: HPARAMS, which compares runs, and training and validation in one chart."""

from collections.abc import Iterable
from typing import Any

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard.summary import hparams

from callbacks.run_folder import run_folder
from checkpoints import runs

OF_TRAINER = ("max_epochs", "max_steps", "precision", "gradient_clip_val", "accumulate_grad_batches")
HELD_OUT = ("val/", "test/")


class TensorBoardTabs(L.Callback):
    """Tells TensorBoard the run's hyperparameters, the metrics to compare them by, and which curves belong together.

    Hyperparameters are those of the run's config.yaml: seed, model, data, and the length and precision of the training.
    Metrics are all of validation or test, each with its last value. Charts are, of every metric of training and
    validation, both curves, and of one with an interval (/low, /high) the curve within it. It is told at the end of the
    first validation, or of training or test, once the names are known.
    """

    def __init__(self) -> None:
        self._told = False

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self._told = False

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._tell(trainer)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._tell(trainer)

    def on_test_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._tell(trainer)

    def _tell(self, trainer: L.Trainer) -> None:
        if self._told or not trainer.is_global_zero:
            return
        self._told = True
        names = list(trainer.callback_metrics)
        compared = [name for name in names if name.startswith(HELD_OUT)] or names
        hyperparameters = hyperparameters_of(runs.config_of(run_folder(trainer)))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                if charts := layout(names):
                    logger.experiment.add_custom_scalars(charts)
                # Its own `add_hparams` begins another run on the board. Values are those of the curves.
                writer = logger.experiment._get_file_writer()
                for summary in hparams(hyperparameters, dict.fromkeys(compared, 0.0)):
                    writer.add_summary(summary)


def hyperparameters_of(config: dict[str, Any]) -> dict[str, bool | int | float | str]:
    """A run's config as plain values: {"model.lr": 0.004, ...}."""
    found = {name: value for part in runs.PARTS for name, value in runs.flat(config.get(part), part).items()}
    found |= {f"trainer.{name}": config.get("trainer", {}).get(name) for name in OF_TRAINER}
    known = {name: value for name, value in found.items() if value is not None}
    return {name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in known.items()}


def layout(names: Iterable[str]) -> dict[str, dict[str, list[Any]]]:
    """Charts of metrics with these names, as `SummaryWriter.add_custom_scalars` takes them.

    >>> layout(["train/loss", "val/loss", "val/accuracy"])
    {'training and validation': {'loss': ['Multiline', ['train/loss', 'val/loss']]}}
    """
    names = list(names)
    both = [name.removeprefix("train/") for name in names if name.startswith("train/")]
    pairs = {name: ["Multiline", [f"train/{name}", f"val/{name}"]] for name in sorted(both) if f"val/{name}" in names}
    within = {
        name: ["Margin", [name, f"{name}/low", f"{name}/high"]]
        for name in sorted(names)
        if f"{name}/low" in names and f"{name}/high" in names
    }
    return {title: charts for title, charts in (("training and validation", pairs), ("intervals", within)) if charts}
