"""What a policy reads from an observation, and what its actions mean: the part to write for another robot.

B batch, O observed steps, T predicted actions, A action dimensions.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

Observation: TypeAlias = Tensor | Mapping[str, Tensor]
"""(B, O, ...): one tensor, or several by key, as gymnasium's `Box` and `Dict` spaces have them."""
ObservationShape: TypeAlias = Sequence[int] | Mapping[str, Sequence[int]]
"""The shape of one step's observation: (n,) numbers, (C, H, W) of an image, or these by key."""


class Statistics(NamedTuple):
    """Of each dimension, over the steps that are trained on."""

    mean: Tensor
    std: Tensor  # above 0: 1 in a dimension that never changes


class ObservationFeatures(nn.Module):
    """Observations in the units of the world -> (B, dim) numbers of order one.

    A policy makes it by calling its class with O, the observation's shape and A; the last two are None where neither
    data nor config say them.

    Attributes:
        observation: the kind of observation, by the name that an environment gives it; None where it has no kinds.
        observation_shape: of one step.
        action_dim: A.
        dim: features of an observation.
    """

    observation: str | None = None
    observation_shape: ObservationShape
    action_dim: int
    dim: int

    def measure(self, observations: Statistics | Mapping[str, Statistics | None] | None, actions: Statistics) -> None:
        """Take statistics of the training data, those of observations by key, None for images; by default ignored."""

    def perceive(self, observations: Observation) -> Observation:
        """What the other methods take in place of an observation, computed once for each; by default itself."""
        return observations

    def loss(self, batch: Mapping[str, Any]) -> Tensor | None:
        """A loss of the features' own, of what a batch holds besides, added to the policy's; by default none."""
        return None

    def origin(self, observations: Observation) -> Tensor:
        """What actions are relative to: (B, O, ...) -> (B, 1, A); by default 0."""
        first = observations if isinstance(observations, Tensor) else next(iter(observations.values()))
        return first.new_zeros(first.shape[0], 1, self.action_dim, dtype=torch.float32)

    def action_scale(self, root_mean_square: Tensor) -> Tensor:
        """What actions, relative to their origin, are divided by: (T, A) or (T, 1).

        Args:
            root_mean_square: (T, A) of the training data's, 0 at steps that no action reaches. By default the scale,
                1 in place of 0.
        """
        return root_mean_square.where(root_mean_square > 0, 1.0)

    def within_bounds(self, actions: Tensor) -> Tensor:
        """Actions (B, T, A) in the units of the world, clipped to what can be carried out; by default unchanged."""
        return actions
