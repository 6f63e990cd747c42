"""What a Push-T policy sees, as numbers of order one: keypoints in pixels -> a feature vector.

Success needs the block within two pixels of its target in a world of 512. Positions scaled to [-1, 1] hide that in the
third decimal, so the same facts are given in several frames and scales: in the world, relative to the target (finer and
finer near it), the pointer in the block's frame, and what moved since the observation before.

B batch, O observed steps, T predicted actions.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor

from envs.t_block import TARGET_POSE, WORLD, corners
from limits import whole
from networks.observation_features import Observation, ObservationFeatures, ObservationShape


class PushTFeatures(ObservationFeatures):
    """(B, O, 18) pixels (pointer x, y, then 8 corners) -> (B, dim), in float32: bfloat16 rounds to two pixels.

    Actions are the pointer's next positions, relative to where it is now, clipped to the world.

    Args:
        n_obs_steps: O.
        observation_shape: 18 numbers, where it is said.
        action_dim: 2, where it is said.
    """

    observation = "keypoints"
    observation_shape: ObservationShape = (18,)
    action_dim = 2
    target: Tensor

    def __init__(
        self, n_obs_steps: int, observation_shape: ObservationShape | None = None, action_dim: int | None = None
    ):
        super().__init__()
        whole(1, 1000, n_obs_steps=n_obs_steps)
        own = {"observation_shape": [18], "action_dim": 2}
        for name, given in {"observation_shape": observation_shape, "action_dim": action_dim}.items():
            if given is not None and own[name] != (list(given) if isinstance(given, Sequence) else given):
                raise ValueError(
                    f"{name}={given} is not that of Push-T's keypoints, {own[name]}; for other data use "
                    "networks.normalized_features.NormalizedFeatures as features, or your own"
                )
        target = torch.tensor(corners(TARGET_POSE).tolist(), dtype=torch.float32)
        self.register_buffer("target", target, persistent=False)  # (8, 2)
        with torch.no_grad():
            self.dim = self(torch.zeros(1, n_obs_steps, 18)).shape[1]

    def origin(self, observations: Observation) -> Tensor:
        """Where the pointer is now: (B, O, 18) -> (B, 1, 2)."""
        return cast(Tensor, observations)[:, -1:, :2]

    def action_scale(self, root_mean_square: Tensor) -> Tensor:
        """(T, 2) pixels -> (T, 1), as x and y are alike; 1 pixel at least."""
        return root_mean_square.square().mean(1, keepdim=True).sqrt().clamp(min=1.0)

    def within_bounds(self, actions: Tensor) -> Tensor:
        """Actions (B, T, 2) in pixels, clipped to the world."""
        return actions.clamp(0.0, WORLD)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "PushTFeatures":
        return super()._apply(lambda table: table.to(fn(table).device), recurse)

    def forward(self, keypoints: Tensor) -> Tensor:
        points = keypoints.float().unflatten(-1, (9, 2))  # (B, O, 9, 2)
        pointer, block = points[:, :, 0], points[:, :, 1:]
        error = block[:, -1] - self.target  # (B, 8, 2)
        origin, along = block.mean(2), block[:, :, 1] - block[:, :, 0]
        along = along / along.norm(dim=-1, keepdim=True).clamp(min=1e-6)  # (B, O, 2) the bar's direction
        across = torch.stack([-along[..., 1], along[..., 0]], -1)
        offset = pointer - origin
        in_block = torch.stack([(offset * along).sum(-1), (offset * across).sum(-1)], -1)  # (B, O, 2)
        motion = points[:, 1:] - points[:, :-1]  # (B, O-1, 9, 2)
        features = [
            points / (WORLD / 2) - 1,
            torch.tanh(error / 64),
            torch.tanh(error / 16),
            in_block / 64,
            torch.tanh(in_block / 16),
            along,
            torch.tanh(motion / 8),
        ]
        return torch.cat([feature.flatten(1) for feature in features], 1)
