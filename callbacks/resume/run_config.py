"""A run's `config.yaml`."""

from pathlib import Path

import lightning as L
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback

from checkpoints.runs import CONFIG


class RunConfig(SaveConfigCallback):
    """Writes the whole config of the command line into the run's folder, with any logger or none.

    It includes what follows from the data, such as the number of classes: the file alone builds the model again.
    """

    def __init__(self, parser: LightningArgumentParser, config: Namespace, folder: Path):
        super().__init__(parser, config, save_to_log_dir=False)
        self.folder = folder

    def save_config(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f"{CONFIG}.part"
        content = self.parser.dump(self.config, skip_unset=False, skip_link_targets=False)
        partial.write_text(content, encoding="utf-8")
        partial.replace(self.folder / CONFIG)  # a run that is killed here keeps the one from before
