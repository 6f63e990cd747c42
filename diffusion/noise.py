"""Noise that belongs to a sample, whichever samples it is drawn with.

With one generator for a whole batch, a sample's noise depends on the samples before it: another batch size or another
number of processes gives other samples. With a generator for each sample, from a seed and the sample's own number,
neither matters, nor does the device: these generators draw on the CPU.

B batch.
"""

from collections.abc import Callable, Iterable, Sequence
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

Generators = torch.Generator | Sequence[torch.Generator] | None
"""Where noise comes from: a generator for the batch, one for each sample, or (None) torch's global one."""

NUMBERS = 2**32  # how many seeds torch's generator on the CPU tells apart


def generators(seed: int | Sequence[int], numbers: Iterable[int]) -> list[torch.Generator]:
    """A generator for each of these sample numbers, from 0 to 2^32 - 1; different numbers never share their noise.

    `seed` is one number from 0 upwards or several, such as a run's seed and an attempt's number.
    """
    words = [int(seed)] if isinstance(seed, int | Integral) else list(seed)
    if any(word < 0 for word in words):
        raise ValueError(f"seed={seed} must be a whole number from 0 upwards")
    numbers = [int(number) for number in numbers]
    if numbers and not 0 <= min(numbers) <= max(numbers) < NUMBERS:
        raise ValueError(f"samples are numbered from {min(numbers)} to {max(numbers)}; allowed are 0 to {NUMBERS - 1}")
    # Their count is included because a SeedSequence ignores zeros at the end.
    first = int(np.random.SeedSequence([len(words), *words]).generate_state(1)[0])
    return [torch.Generator().manual_seed((first + number) % NUMBERS) for number in numbers]


def randn(
    shape: Sequence[int],
    generator: Generators = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Standard normal (B, ...)."""
    return _drawn(lambda size, **options: torch.randn(size, dtype=dtype, **options), shape, generator, device)


def randint(
    high: int, shape: Sequence[int], generator: Generators = None, device: torch.device | str | None = None
) -> Tensor:
    """Whole numbers (B, ...) from 0 to high - 1, all equally likely."""
    return _drawn(lambda size, **options: torch.randint(high, size, **options), shape, generator, device)


def _drawn(
    draw: Callable[..., Tensor], shape: Sequence[int], generator: Generators, device: torch.device | str | None
) -> Tensor:
    if generator is None:
        return draw(tuple(shape), device=device)
    if isinstance(generator, torch.Generator):
        return draw(tuple(shape), generator=generator, device=generator.device).to(device)
    if len(generator) != shape[0]:
        raise ValueError(f"{len(generator)} generators for {shape[0]} samples: give one for each, or one for all")
    parts = [draw(tuple(shape[1:]), generator=one, device=one.device) for one in generator]
    return torch.stack(parts).to(device) if parts else draw(tuple(shape), device=device)
