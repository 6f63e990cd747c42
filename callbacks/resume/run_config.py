"""A run's `config.yaml`."""

from pathlib import Path

import lightning as L
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback

from checkpoints.runs import CONFIG


class RunConfig(SaveConfigCallback):
    """Writes what the command line and its configs said into the run's folder, whatever logger there is."""

    def __init__(self, parser: LightningArgumentParser, config, folder: Path):
        super().__init__(parser, config, save_to_log_dir=False)
        self.folder = folder

    def save_config(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f"{CONFIG}.part"
        self.parser.save(self.config, str(partial), skip_unset=False, overwrite=True)
        partial.replace(self.folder / CONFIG)  # a run that is killed here keeps the one from before
