"""Push-T demonstrations as images: the world of each observation is drawn, changed at random in training.

    observation      (B, O, 3, 96, 96) uint8
    action           (B, T, 2)         targets of the pointer, pixels
    scene            (N, 3, 96, 96)    uint8, worlds to learn from where pointer and block are
    scene_keypoints  (N, 18)           pointer and corners there, pixels

Drawn when they are used, so that alignment, mirroring, colours and any number of new scenes cost no memory. NumPy draws
on the CPU, wherever the batch lies.

B windows of a batch, O observed steps, T actions of a window, N scenes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

import limits
from datamodules import augmentation
from datamodules.augmentation import AlternatingFlip, Augmentation, HorizontalFlip
from datamodules.photometric_augmentation import ForSome
from datamodules.pusht import PushTDemos
from envs import t_block
from envs.drawing import PLAIN, Colours, draw
from envs.pusht import PIXELS

MARGIN = 30.0  # px that a scene's T stays from the walls, in the middle of its bar
NEAR = (20.0, 0.3)  # standard deviations, px and radians, by which scenes near the demonstrations differ from them


class PushTImages(PushTDemos):
    """Demonstrations as `PushTDemos` reads them, shown as images.

    Validation, test and prediction show the world as it is; their scenes are their own observations.

    Args:
        scenes: N, in each training batch: half of them anywhere, half near its observations; 0 for none.
        colour_jitter: how far red, green and blue of background, target, block and pointer may each be from what they
            are, in 255ths.
        augment: changes to images in training (`datamodules.augmentation`, `datamodules.photometric_augmentation`).
        **options: those of `PushTDemos`.
    """

    def __init__(
        self,
        scenes: int = 128,
        colour_jitter: float = 0.0,
        augment: list[Augmentation] | None = None,
        **options,
    ):
        super().__init__(**options)
        limits.whole(0, 2**20, scenes=scenes)
        limits.number("[0, 255]", colour_jitter=colour_jitter)
        self.augment = augment or []
        augmentation.check(self.augment, (3, PIXELS, PIXELS))
        for change in self.augment:
            _check_unmirrored(change)
        self.save_hyperparameters(ignore=["augment"])

    @property
    def observation_shape(self) -> list[int]:
        """[3, 96, 96]."""
        return [3, PIXELS, PIXELS]

    def observation_statistics(self) -> None:
        """None: images have none."""

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        training = bool(self.trainer and self.trainer.training)
        keypoints = batch["observation"]  # (B, O, 18)
        images, seen = self._shown(keypoints, training), keypoints.flatten(0, 1)
        batch = {**batch, "observation": images}
        if not self.hparams.scenes:
            return batch
        if not training:
            return {**batch, "scene": images.flatten(0, 1), "scene_keypoints": seen}
        scenes = self._scenes(seen)
        return {**batch, "scene": self._shown(scenes[:, None], training)[:, 0], "scene_keypoints": scenes}

    def _scenes(self, seen: Tensor) -> Tensor:
        """N worlds as keypoints (N, 18): half anywhere, half near those of (n, 18)."""
        count, near = self.hparams.scenes, self.hparams.scenes // 2
        low, high = MARGIN, t_block.WORLD - MARGIN
        pointer = low + (high - low) * torch.rand(count, 2)
        middle = low + (high - low) * torch.rand(count, 2)  # of the T: the origin lies at the bar's edge
        angle = 2 * torch.pi * torch.rand(count, 1)
        down = torch.cat([-angle.sin(), angle.cos()], 1)
        poses = torch.cat([middle - 1.5 * t_block.UNIT * down, angle], 1)  # (N, 3)
        chosen = seen[torch.randint(len(seen), (near,))].cpu()
        noise = torch.randn(near, 5) * torch.tensor([*[NEAR[0]] * 4, NEAR[1]])
        pointer[:near] = (chosen[:, :2] + noise[:, :2]).clamp(0, t_block.WORLD)
        poses[:near] = torch.from_numpy(_poses(chosen)).float() + noise[:, 2:]
        corners = torch.from_numpy(t_block.corners(poses.numpy())).float().flatten(1)
        return torch.cat([pointer, corners], 1).to(seen.device)

    def _shown(self, keypoints: Tensor, training: bool) -> Tensor:
        """Worlds (B, O, 18) as images (B, O, 3, 96, 96) uint8; in training those of a window changed alike."""
        windows, steps = keypoints.shape[:2]
        colours = self._colours(windows, steps) if training and self.hparams.colour_jitter else PLAIN
        images = drawn(keypoints.flatten(0, 1), colours).reshape(windows, steps * 3, PIXELS, PIXELS)
        for change in self.augment if training else []:
            images = change(images)
        return images.unflatten(1, (steps, 3))

    def _colours(self, windows: int, steps: int) -> Colours:
        """Of windows * steps images."""

        def near(plain: Any) -> np.ndarray:
            jitter = self.hparams.colour_jitter * (2 * torch.rand(windows, 3) - 1)
            return np.clip(np.asarray(plain, np.float32) + jitter.numpy(), 0, 255).repeat(steps, 0)

        names: Sequence[str] = ("background", "target", "block", "pointer")
        return Colours(**{name: near(getattr(PLAIN, name)) for name in names})


def drawn(keypoints: Tensor, colours: Colours = PLAIN) -> Tensor:
    """Worlds (n, 18) as images (n, 3, 96, 96) uint8, on the same device."""
    points = keypoints.cpu()
    images = draw(points[:, :2].numpy(), _poses(points), PIXELS, colours=colours)
    return torch.from_numpy(images).to(keypoints.device).movedim(-1, 1)


def _check_unmirrored(change: Augmentation) -> None:
    """Raises ValueError for a flip: a mirrored scene looks like another one, which its keypoints are not of."""
    if isinstance(change, ForSome):
        _check_unmirrored(change.augmentation)
    elif isinstance(change, HorizontalFlip | AlternatingFlip):
        raise ValueError(
            f"augment holds {type(change).__name__}, which mirrors images and neither keypoints nor actions; leave it "
            "out, and let mirror: true show mirrored worlds"
        )


def _poses(keypoints: Tensor) -> np.ndarray:
    """Of the blocks of worlds (n, 18): (n, 3)."""
    return t_block.pose_of(keypoints[:, 2:].unflatten(-1, (8, 2)).numpy())
