"""A context in which a network is in evaluation mode."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Every part of a network in evaluation mode, without dropout; each part's own mode is restored afterwards."""
    trained = [part for part in network.modules() if part.training]
    if trained:  # to walk through a network takes as long as a small one computes
        network.eval()
    try:
        yield
    finally:
        for part in trained:
            part.training = True
