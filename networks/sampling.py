"""The distribution that the next token is drawn from.

B batch, V vocabulary.
"""

import torch
from torch import Tensor


def next_distribution(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """Probabilities of the next token: logits (B, V) -> (B, V).

    First the logits are divided by the temperature; then only the `top_k` likeliest tokens are kept; then of these only
    the fewest whose probabilities sum to at least `top_p` (Holtzman et al. 2020, Eq. 2-3). What is kept is scaled to
    sum to 1.
    """
    if top_k is None and top_p is None:
        return (logits / temperature).softmax(-1)
    ordered, order = (logits / temperature).sort(dim=-1, descending=True, stable=True)
    probabilities = ordered[:, :top_k].softmax(-1)
    if top_p is not None:
        before = probabilities.cumsum(-1) - probabilities  # of all tokens that are likelier
        probabilities = probabilities.masked_fill(before >= top_p, 0.0)
        probabilities /= probabilities.sum(-1, keepdim=True)
    return torch.zeros_like(logits).scatter(-1, order[:, :top_k], probabilities)


def check(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Raises ValueError where one of them is out of its range."""
    if temperature < 0:
        raise ValueError(f"temperature={temperature} must be at least 0; 0 takes the likeliest token")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k} must be at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p} must be more than 0 and at most 1")
