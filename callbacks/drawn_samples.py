"""Samples of a generative model by the thousand: the same ones each time, and each drawn once.

N images, C channels, H height, W width.
"""

import time
from typing import cast

import lightning as L
import torch
import torch.distributed as dist
from rich.progress import track
from torch import Tensor

from callbacks.module_protocols import ImageGenerator
from callbacks.pace import in_words
from datamodules import cache
from diffusion.noise import generators

BATCH = 250  # images that are drawn at once
WORTH_SAYING = 30  # seconds


@torch.no_grad()
def drawn_samples(module: L.LightningModule, labels: Tensor, seed: int = 0) -> Tensor:
    """A sample for each label: (N,) -> (N, C, H, W) uint8. Several processes share the work and get all of them.

    Each sample has its own noise, from the seed and its place. Processes share whole batches, so that each sample is
    drawn beside the same others, and is the same to the last bit.

    Batches are kept in the cache (`datamodules.cache`) as soon as they are drawn: a test that was interrupted, or that
    measures the same samples otherwise, reads them. The first batch is drawn in any case. What is kept was drawn by the
    same weights, sampler and guidance, at the same precision, where that batch is the same to the last bit.
    """
    parts = torch.arange(len(labels)).split(BATCH)
    shared = dist.is_available() and dist.is_initialized()
    rank, processes = (dist.get_rank(), dist.get_world_size()) if shared else (0, 1)

    def draw(number: int) -> Tensor:
        part = parts[number]
        noise = generators(seed, part.tolist())
        return cast(ImageGenerator, module).sample(labels[part].to(module.device), generator=noise).cpu()

    begin = time.monotonic()
    first = draw(0)
    seconds = time.monotonic() - begin
    content = [first.numpy().tobytes(), labels.cpu().numpy().tobytes(), f"{tuple(first.shape)} {seed}".encode()]
    folder = f"samples-{cache.digest(content)}"
    if rank == 0:
        missing = [len(parts[number]) for number in range(1, len(parts)) if not cache.holds(f"{folder}/{number}")]
        _announce(sum(missing), len(labels) - len(first), len(missing) * seconds / processes)

    def sample(number: int) -> Tensor:
        return first if number == 0 else cache.cached(f"{folder}/{number}", lambda: {"images": draw(number)})["images"]

    own = range(len(parts))[rank::processes]
    drawn = [sample(number) for number in track(own, "drawing samples", transient=True, disable=rank != 0)]
    gathered = [drawn] * processes
    if shared:
        dist.all_gather_object(gathered, drawn)
    return torch.cat([gathered[number % processes][number // processes] for number in range(len(parts))])


def _announce(missing: int, count: int, seconds: float) -> None:
    """Say how long it takes, where that is long: a progress bar shows in a terminal alone."""
    if seconds > WORTH_SAYING:
        before = "" if missing == count else f", of {count}; the others were drawn before"
        print(f"drawing {missing} samples{before}: {in_words(seconds)}")
