"""Which examples make up each batch of an epoch."""

from collections.abc import Iterator

import numpy as np

from numpy_core import checks


def batches(count: int, batch_size: int, rng: np.random.Generator | None = None) -> Iterator[np.ndarray]:
    """The indices 0 .. count-1, each once, in arrays of `batch_size` (the last may be shorter); shuffled with `rng`."""
    checks.sizes(count=count)
    checks.positive(batch_size=batch_size)
    order = np.arange(count) if rng is None else rng.permutation(count)
    for start in range(0, count, batch_size):
        yield order[start : start + batch_size]
