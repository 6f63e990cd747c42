"""The noise of a run's samples: from its seed and each sample's number, whatever batch or process it is in."""

import os

import torch
from torch import Tensor

from diffusion.noise import generators


def run_seed() -> int:
    """The seed given to `seed_everything`, which Lightning keeps in the environment; 0 without one."""
    return int(os.environ.get("PL_GLOBAL_SEED", 0))


def noise_of(batch: dict[str, Tensor], seed: int) -> list[torch.Generator] | None:
    """A generator for each sample of a batch, from its "index" (B,) in the data; None where the batch has none."""
    return generators(seed, batch["index"].tolist()) if "index" in batch else None
