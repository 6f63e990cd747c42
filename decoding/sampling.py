"""The distribution that the next token is drawn from, and the draw.

B batch, V vocabulary, N new tokens.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from limits import LARGEST, number, whole

SEEDS = 2**32


def next_distribution(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """Probabilities of the next token: logits (B, V) -> (B, V).

    First the logits are divided by the temperature; then only the `top_k` likeliest tokens are kept; then of these only
    the fewest whose probabilities sum to at least `top_p` (Holtzman et al. 2020, Eq. 2-3). What is kept is scaled to
    sum to 1.
    """
    check(temperature, top_k, top_p)
    number("(0, inf)", temperature=temperature)
    # The largest is moved to 0, so that no temperature is too small: what overflows has probability 0.
    logits = logits - logits.amax(-1, keepdim=True)
    limit = torch.finfo(logits.dtype)
    logits = logits / min(max(temperature, limit.tiny), limit.max)
    if top_p == 1:
        top_p = None  # rounded sums would lose the least likely tokens
    if top_k is None and top_p is None:
        return logits.softmax(-1)
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)
    probabilities = ordered[:, :top_k].softmax(-1)
    if top_p is not None:
        before = probabilities.cumsum(-1) - probabilities  # of all tokens that are likelier
        probabilities = probabilities.masked_fill(before >= top_p, 0.0)
        probabilities /= probabilities.sum(-1, keepdim=True)
    return torch.zeros_like(logits).scatter(-1, order[:, :top_k], probabilities)


def uniform(seed: int, rows: Iterable[int], count: int) -> Tensor:
    """Random numbers in [0, 1) for the draws of N tokens, (B, N): each row's own, from the seed and the row's number.

    They do not depend on the batch, and more of them begin with the same ones.
    """
    whole(0, SEEDS - 1, seed=seed)
    whole(0, count=count)
    return torch.from_numpy(np.stack([np.random.default_rng([seed, row]).random(count, np.float32) for row in rows]))


def draw(distribution: Tensor, drawn: Tensor) -> Tensor:
    """A token for each row, by inversion of its distribution: (B, V) and numbers (B,) in [0, 1) -> (B,)."""
    cumulated = distribution.cumsum(-1)
    # The first token whose sum is more than the number; one without probability adds nothing and is never the first.
    return torch.searchsorted(cumulated, drawn[:, None] * cumulated[:, -1:], right=True)[:, 0]


def check(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Raises ValueError where one of them is out of its range; a temperature of 0 takes the likeliest token."""
    number("[0, inf)", temperature=temperature)
    if top_k is not None:
        whole(top_k=min(top_k, LARGEST))  # it may be larger than the vocabulary
    if top_p is not None:
        number("(0, 1]", top_p=top_p)
