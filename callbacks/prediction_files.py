"""What callbacks share that write predictions to the run's folder."""

from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import BasePredictionWriter

from callbacks.run_folder import shared_run_folder


class PredictionFiles(BasePredictionWriter):
    """A prediction writer whose files lie in the run's folder: `self.folder`, `self.rank` and `self.written`.

    `rank` is what the names of a process's files end with: nothing for the first one, "-1" for the second, ...
    """

    def __init__(self):
        super().__init__("batch")

    def on_predict_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.folder: Path = shared_run_folder(trainer)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rank = f"-{trainer.global_rank}" if trainer.global_rank else ""
        self.written = 0
