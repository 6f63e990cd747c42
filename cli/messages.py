"""What the command line says beside a model's own output."""

import sys

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.rank_zero import _get_rank


def is_first_process() -> bool:
    """Of all processes of a job, by the variables that whoever started them has set."""
    return not (_get_rank() or LightningEnvironment().node_rank())


def say(message: str) -> None:
    """One line for the user, from the first of several processes."""
    if is_first_process():
        print(f"train.py: {' '.join(message.split())}", file=sys.stderr)
