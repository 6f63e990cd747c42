"""What callbacks share that draw samples in the middle of a run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import lightning as L
import torch

from callbacks.resume.random_state import random_state, set_random_state
from lightning_modules import data_contract
from lightning_modules.named_classes import NamedClasses
from networks.evaluation_mode import evaluating

HIGHEST_SEED = 2**64 - 1
MOST = 1000  # rows, columns or frames of an image


@contextmanager
def watching(module: L.LightningModule) -> Iterator[None]:
    """Draw without side effects, in eval mode and without gradients.

    Afterwards the modes of all parts (train, eval) and the global generators (Python, NumPy, torch) are as they were:
    the run goes on as if nothing had been drawn.
    """
    state = random_state()
    try:
        with evaluating(module), torch.no_grad():
            yield
    finally:
        set_random_state(state)


def class_names(module: L.LightningModule) -> Sequence[str]:
    """Names of the classes that the module knows, else those of the data; else a number for each class."""
    known = module.names.names if isinstance(module, NamedClasses) else ()
    names = known or data_contract.class_names(module)
    return names or [str(number) for number in range(max(1, module.hparams.get("num_classes", 1)))]
