"""What a policy reads from an observation, and what its actions mean: the part to write for another robot.

B batch, O observed steps, T predicted actions, N numbers of an observation, A action dimensions.
"""

from torch import Tensor, nn


class ObservationFeatures(nn.Module):
    """(B, O, N) observations in the units of the world -> (B, dim) numbers of order one.

    Attributes:
        observation: the kind of observation, by the name that the environment gives it.
        observation_dim: N.
        action_dim: A.
        dim: features of an observation.
    """

    observation: str
    observation_dim: int
    action_dim: int
    dim: int

    def origin(self, observations: Tensor) -> Tensor:
        """What actions are relative to: (B, O, N) -> (B, 1, A); by default 0."""
        return observations.new_zeros(len(observations), 1, self.action_dim)

    def within_bounds(self, actions: Tensor) -> Tensor:
        """Actions (B, T, A) in the units of the world, clipped to what can be carried out; by default unchanged."""
        return actions
