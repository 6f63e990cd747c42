"""What a Push-T policy sees in images alone: pointer and block are found in each, and then it is as with keypoints.

B batch, O observed steps, N images.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from envs.pusht import PIXELS
from envs.t_block import CORNERS, WORLD
from networks.folded_cnn import FoldedCNN
from networks.observation_features import Observation, ObservationShape
from networks.pusht_features import PushTFeatures

SHAPE = (3, PIXELS, PIXELS)
UNIT = WORLD / 8  # pixels of the world that count as an error of 1


class PushTImageFeatures(PushTFeatures):
    """(B, O, 3, 96, 96) uint8 -> keypoints (B, O, 18), by a network that finds them -> the features of these.

    The network learns from scenes whose keypoints are known (`datamodules.pusht_images`), not from the policy's loss:
    what the policy learns from is what it will see when it acts, errors included.

    Args:
        n_obs_steps: O.
        observation_shape: [3, 96, 96], where it is said.
        action_dim: 2, where it is said.
        image_encoder: makes an encoder from (C, H, W): a module whose `dim` is the number of features that it gives,
            (N, C, H, W) uint8 -> (N, dim).
    """

    observation = "pixels"
    corners: Tensor

    def __init__(
        self,
        n_obs_steps: int,
        observation_shape: ObservationShape | None = None,
        action_dim: int | None = None,
        image_encoder: Callable[[tuple[int, int, int]], nn.Module] = FoldedCNN,
    ):
        if observation_shape is not None and (
            not isinstance(observation_shape, Sequence) or tuple(observation_shape) != SHAPE
        ):
            raise ValueError(
                f"observation_shape={observation_shape} is not that of Push-T's images, {list(SHAPE)}; for other data "
                "use networks.normalized_features.NormalizedFeatures as features, or your own"
            )
        super().__init__(n_obs_steps, None, action_dim)
        self.observation_shape = SHAPE
        self.register_buffer("corners", torch.tensor(CORNERS, dtype=torch.float32), persistent=False)  # (8, 2)
        self.image_encoder = image_encoder(SHAPE)
        self.head = nn.Linear(int(cast(Any, self.image_encoder).dim), 6)

    def perceive(self, observations: Observation) -> Tensor:
        """Images (B, O, 3, 96, 96) uint8 -> keypoints (B, O, 18) pixels, as far as the network finds them."""
        images = cast(Tensor, observations)
        with torch.no_grad():
            pointer, origin, along = self._found(images.flatten(0, 1))
        return self._keypoints(pointer, origin, F.normalize(along, dim=-1)).unflatten(0, images.shape[:2])

    def loss(self, batch: Mapping[str, Any]) -> Tensor | None:
        """Mean absolute error of the pointer and of the corners in the batch's "scene", in eighths of the world.

        "scene" is (N, 3, 96, 96) uint8, "scene_keypoints" (N, 18) pixels.
        """
        if "scene" not in batch:
            return None
        found = self._keypoints(*self._found(batch["scene"]))
        errors = (found - batch["scene_keypoints"]).abs() / UNIT
        return errors[:, :2].mean() + errors[:, 2:].mean()

    def _found(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, 96, 96) -> (N, 2) each: pointer and origin of the block in pixels, and its bar's direction.

        The direction's length is 1 once the network has learned.
        """
        encoded = self.image_encoder(images)
        with torch.autocast(encoded.device.type, enabled=False):  # bfloat16 rounds to two pixels
            found = self.head(encoded.float())
        pointer, origin, along = found.chunk(3, 1)
        return (pointer + 1) * (WORLD / 2), (origin + 1) * (WORLD / 2), along

    def _keypoints(self, pointer: Tensor, origin: Tensor, along: Tensor) -> Tensor:
        """(N, 2) each -> (N, 18) pixels."""
        across = torch.stack([-along[:, 1], along[:, 0]], -1)
        x, y = self.corners.unbind(1)  # (8,)
        points = origin[:, None] + x[:, None] * along[:, None] + y[:, None] * across[:, None]  # (N, 8, 2)
        return torch.cat([pointer, points.flatten(1)], 1)
