"""Commands on the toys, in the current folder."""

import shlex
from pathlib import Path

import train

SHORT = shlex.split(
    "--trainer.max_epochs=1 --trainer.accelerator=cpu --checkpoint.monitor=val/loss --checkpoint.mode=min "
    "--trainer.enable_model_summary=false --trainer.enable_progress_bar=false --trainer.log_every_n_steps=1"
)
TOYS = ["--model=tests.cli.toys.ToyModel", "--data=tests.cli.toys.ToyData"]
RUN = Path("runs/ToyModel/version_0")


def toy(subcommand: str, *words: str, toys: list[str] | None = None):
    return train.main([subcommand, *(TOYS if toys is None else toys), *SHORT, *words])
