"""What a policy sees of any robot: its numbers, normalised, and its images by an encoder.

B batch, O observed steps, A action dimensions, n numbers of an observation.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from envs.observations import arrays
from limits import whole
from networks.observation_features import Observation, ObservationFeatures, ObservationShape, Statistics


class NormalizedFeatures(ObservationFeatures):
    """Observations (B, O, ...) by key -> (B, dim): (x - mean) / std of the training data, step after step.

    Actions are relative to the mean of the training data's, and divided by their root mean square, each dimension by
    its own.

    Args:
        n_obs_steps: O.
        observation_shape: of one step: (n,), the (C, H, W) of an image, or these by key.
        action_dim: A.
        image_encoder: makes an encoder from (C, H, W) for each key of images: a module whose `dim` is the number of
            features that it gives, (B, C, H, W) uint8 -> (B, dim).
    """

    def __init__(
        self,
        n_obs_steps: int,
        observation_shape: ObservationShape | None = None,
        action_dim: int | None = None,
        image_encoder: Callable[[tuple[int, int, int]], nn.Module] | None = None,
    ):
        super().__init__()
        whole(1, 1000, n_obs_steps=n_obs_steps)
        if not observation_shape or action_dim is None:
            raise ValueError(
                f"observation_shape={observation_shape}, action_dim={action_dim}: both follow from the data "
                "(datamodules.demonstrations.Demonstrations); without such data, give them"
            )
        whole(1, 10_000, action_dim=action_dim)
        self.observation_shape, self.action_dim = observation_shape, action_dim
        shapes = [tuple(shape) for shape in arrays(observation_shape)]
        for shape in shapes:
            if len(shape) not in (1, 3):
                raise ValueError(
                    f"observation_shape={observation_shape}: each must be (n,) numbers or the (C, H, W) of an image"
                )
            for size in shape:
                whole(1, 2**20, observation_shape=size)
        vector = sum(shape[0] for shape in shapes if len(shape) == 1)
        images = [shape for shape in shapes if len(shape) == 3]
        if images and image_encoder is None:
            raise ValueError(f"observation_shape={observation_shape} holds images; name an image_encoder for them")
        self.encoders = nn.ModuleList(image_encoder(shape) for shape in images) if image_encoder else nn.ModuleList()
        self.normalization = Normalization(vector)
        self.actions = Normalization(action_dim)
        self.dim = n_obs_steps * (vector + sum(int(cast(Any, encoder).dim) for encoder in self.encoders))

    def measure(self, observations: Statistics | Mapping[str, Statistics | None] | None, actions: Statistics) -> None:
        """Take mean and deviation of the numbers and of the actions."""
        known = [one for one in arrays(observations) if one is not None]
        if known:
            self.normalization.take(Statistics(*map(torch.cat, zip(*known, strict=True))))
        self.actions.take(actions)

    def origin(self, observations: Observation) -> Tensor:
        """The mean of the training data's actions: (B, O, ...) -> (B, 1, A)."""
        return self.actions.mean.expand(arrays(observations)[0].shape[0], 1, -1)

    def forward(self, observations: Observation) -> Tensor:
        given = arrays(observations)
        vectors = [values for values in given if values.ndim == 3]
        features = [self.normalization(torch.cat(vectors, -1)).flatten(1)] if vectors else []
        images = [values for values in given if values.ndim == 5]
        for encoder, values in zip(self.encoders, images, strict=True):
            encoded = encoder(values.flatten(0, 1))  # (B * O, dim)
            features.append(encoded.unflatten(0, values.shape[:2]).flatten(1))
        return torch.cat(features, 1)


class Normalization(nn.Module):
    """(..., n) -> (x - mean) / std, in float32 whatever the network around it computes in."""

    mean: Tensor
    std: Tensor

    def __init__(self, size: int):
        super().__init__()
        whole(0, 2**20, size=size)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Normalization":
        return super()._apply(lambda table: table.to(fn(table).device), recurse)

    def take(self, statistics: Statistics) -> None:
        """Normalise by these from now on."""
        self.mean.copy_(statistics.mean)
        self.std.copy_(statistics.std)

    def forward(self, x: Tensor) -> Tensor:
        return (x.float() - self.mean) / self.std
