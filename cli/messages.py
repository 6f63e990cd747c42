"""What the command line says beside a model's own output."""

import sys

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.rank_zero import _get_rank


def is_first_process() -> bool:
    """Whether this is the first process of a job, by the environment variables that its launcher set."""
    return not (_get_rank() or LightningEnvironment().node_rank())


def say(message: str) -> None:
    """One line for the user, from the first of several processes."""
    if is_first_process():
        print(f"train.py: {' '.join(message.split())}", file=sys.stderr)
