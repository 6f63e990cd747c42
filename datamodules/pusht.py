"""Push-T demonstrations: windows of keypoints, and the pointer's targets that followed (`datamodules.windows`).

    observation  (B, O, 18) pointer and the block's 8 corners, pixels
    action       (B, T, 2)  targets of the pointer, pixels

B windows of a batch, O observed steps, T actions of a window.
"""

from pathlib import Path

import torch
from torch import Tensor

from datamodules.demonstrations import Demonstrations
from datamodules.device_resident import OnDevice
from datamodules.episodes import Episodes, read_episodes
from datamodules.hindsight_alignment import align_ends
from datamodules.mirror_image import mirror

KEYPOINTS = ["observation.state", "observation.environment_state"]
SIZES = {"observation.state": 2, "observation.environment_state": 16, "action": 2}
BUNDLED = "bundled"
BUNDLED_FILES = sorted((Path(__file__).parent / "bundled").glob("pusht*.parquet"))


def read_keypoints(source: str | list[str]) -> Episodes:
    """All episodes at a source or several; "bundled" are those that come with Firstlight.

    Raises as `datamodules.episodes.read_episodes` does.
    """
    places = [str(file) for file in BUNDLED_FILES] if source == BUNDLED else source
    return read_episodes(places, KEYPOINTS, sizes=SIZES)


class PushTDemos(Demonstrations):
    """Demonstrations from `source`: a Hub id, a folder, a Parquet file of recordings, or "bundled".

    Args:
        source: where the demonstrations are (`datamodules.sources`), one place or several.
        n_obs_steps: O, how many observations the policy sees.
        horizon: T, how many actions it predicts.
        pad_after: how many actions of a window may lie past its episode's end; all but the first by default.
        batch_size: windows in a batch.
        align_ends: move every episode so that it ends exactly on the target (`datamodules.hindsight_alignment`).
        mirror: give every window as it is or mirrored, with equal odds (`datamodules.mirror_image`).
        val_share: share of the episodes held out for the validation loss, at least one; 0 for none. Then there is no
            validation, and test uses the episodes that were trained on.
        split_seed: draws which ones.
        on_device: whether demonstrations are held on the GPU (`datamodules.device_resident`).
    """

    def __init__(
        self,
        source: list[str] | str = "lerobot/pusht_keypoints",
        n_obs_steps: int = 2,
        horizon: int = 16,
        pad_after: int | None = None,
        batch_size: int = 256,
        align_ends: bool = False,
        mirror: bool = True,
        val_share: float = 0.04,
        split_seed: int = 0,
        on_device: OnDevice = "auto",
    ):
        sizes = (n_obs_steps, horizon, pad_after, batch_size, val_share, split_seed, on_device)
        super().__init__(source, KEYPOINTS, "action", *sizes)
        self.save_hyperparameters()

    @property
    def observation_shape(self) -> list[int]:
        """[18], known without reading anything."""
        return [SIZES[KEYPOINTS[0]] + SIZES[KEYPOINTS[1]]]

    @property
    def action_dim(self) -> int:
        """2."""
        return SIZES["action"]

    def read(self) -> Episodes:
        """The episodes at the source, aligned where that is asked for."""
        episodes = read_keypoints(self.hparams.source)
        return align_ends(episodes) if self.hparams.align_ends else episodes

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        if not (self.trainer and self.trainer.training):
            return batch
        observation, action = batch["observation"], batch["action"]
        if self.hparams.mirror:
            flip = torch.rand(len(action), device=action.device) < 0.5
            mirrored_observation, mirrored_action = mirror(observation, action)
            observation = torch.where(flip[:, None, None], mirrored_observation, observation)
            action = torch.where(flip[:, None, None], mirrored_action, action)
        return {**batch, "observation": observation, "action": action}
