"""What training episodes say about the sizes of observations and actions, to normalise them by.

N steps, T actions of a window, A action dimensions.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from networks.observation_features import Statistics

NEVER_CHANGES = 1e-6  # a deviation of this share of the largest value is rounding


def statistics(values: Tensor) -> Statistics:
    """Mean and deviation of each dimension: (N, n) -> (n,) float32 each; the deviation of a constant is 1."""
    exact = values.double()
    std, mean = torch.std_mean(exact, 0, correction=0)
    constant = std <= NEVER_CHANGES * exact.abs().amax(0)
    return Statistics(mean.float(), std.where(~constant, 1.0).float())


def action_scale(batches: Iterable[dict[str, Any]], origin: Callable[[Any], Tensor]) -> Tensor:
    """Root mean square of the actions at each of the T steps of a window, relative to an origin: (T, A).

    0 at steps that no action reaches: what lies past the end of an episode does not count.

    Args:
        batches: {"observation": (B, O, ...), "action": (B, T, A), "action_is_pad": (B, T)}.
        origin: observations -> (B, 1, A).
    """
    total: Tensor | float = 0.0
    count: Tensor | int = 0
    for batch in batches:
        within = ~batch["action_is_pad"][..., None]
        relative = (batch["action"] - origin(batch["observation"])) * within
        total, count = total + relative.double().square().sum(0), count + within.sum(0)
    if isinstance(count, int):
        raise ValueError("there are no windows to measure the scale of actions on")
    return (total / count.clamp(min=1)).sqrt().float()
