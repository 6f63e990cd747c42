"""Push-T demonstrations as windows: what a policy saw, and the actions that followed.

For step t of an episode, with O = n_obs_steps and T = horizon:

    observation    t-O+1 .. t         (O, 18) pointer and the block's 8 corners, pixels
    action                t .. t+T-1  (T, 2)  targets of the pointer, pixels
    action_is_pad         t .. t+T-1  (T,)    whether that action lies past the end of the episode

Before an episode's first step its first observation is repeated, after its last one its last action, as padding.

B windows of a batch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader

import limits
from datamodules import held_out
from datamodules.action_scale import action_scale
from datamodules.demonstrations import Demonstrations, read_demonstrations
from datamodules.device_resident import OnDevice, ResidentDataModule, ResidentSet, index_on
from datamodules.hindsight_alignment import align_ends
from datamodules.mirror_image import mirror

LONGEST = 10_000  # steps of a window at most: nothing that anybody records acts on more at once
PART = 2**18  # actions that are measured at once


class Windows(ResidentSet):
    """Windows of some episodes, a batch at a time.

    {"observation": (B, O, 18), "action": (B, T, 2), "action_is_pad": (B, T), "index": (B,)}; the index is a window's
    place among all. A window starts at every step of an episode from which at most `pad_after` of its actions lie past
    the end.

    Args:
        demos: all episodes.
        episodes: which of them, by number.
        n_obs_steps: O.
        horizon: T.
        pad_after: how many actions of a window may be padding.
    """

    held = ("observations", "actions", "steps", "first", "last")

    def __init__(self, demos: Demonstrations, episodes: Tensor, n_obs_steps: int, horizon: int, pad_after: int):
        _check_window(n_obs_steps, horizon, pad_after)
        self.demos, self.n_obs_steps, self.horizon = demos, n_obs_steps, horizon
        self.observations, self.actions = demos.observations, demos.actions
        counts = (demos.lengths - horizon + 1 + pad_after).clamp(max=demos.lengths)[episodes]  # windows per episode
        if (counts < 1).any():
            shortest = int(demos.lengths[episodes].min())
            raise ValueError(
                f"an episode of {shortest} steps is shorter than the horizon: horizon={horizon} with pad_after="
                f"{pad_after} needs at least {horizon - pad_after}; use a smaller horizon or leave the episode out"
            )
        self.steps = torch.cat([demos.starts[e] + torch.arange(n) for e, n in zip(episodes, counts, strict=True)])
        self.first = demos.starts[episodes].repeat_interleave(counts)
        self.last = demos.ends[episodes].repeat_interleave(counts) - 1

    def __len__(self) -> int:
        return len(self.steps)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        index = index_on(self.steps.device, indices)
        now, first, last = (values[index, None] for values in (self.steps, self.first, self.last))  # (B, 1)
        past = (now + torch.arange(1 - self.n_obs_steps, 1, device=index.device)).maximum(first)  # (B, O)
        future = now + torch.arange(self.horizon, device=index.device)  # (B, T)
        return {
            "observation": self.observations[past],
            "action": self.actions[future.minimum(last)],
            "action_is_pad": future > last,
            "index": index,
        }


def _check_window(n_obs_steps: int, horizon: int, pad_after: int) -> None:
    limits.whole(1, LONGEST, n_obs_steps=n_obs_steps, horizon=horizon)
    limits.whole(0, LONGEST, pad_after=pad_after)
    if pad_after >= horizon:
        raise ValueError(f"pad_after={pad_after} must be less than horizon={horizon}")


class PushTDemos(ResidentDataModule):
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
        super().__init__(on_device)
        limits.whole(batch_size=batch_size)
        held_out.check(val_share, split_seed)
        _check_window(n_obs_steps, horizon, horizon - 1 if pad_after is None else pad_after)
        self.save_hyperparameters()
        self.n_obs_steps, self.horizon = n_obs_steps, horizon

    def setup(self, stage: str | None = None) -> None:
        if hasattr(self, "train_windows"):
            return
        hp = self.hparams
        demos = read_demonstrations(hp.source)
        if hp.align_ends:
            demos = align_ends(demos)
        train, val = held_out.split(len(demos.starts), "episodes", hp.val_share, hp.split_seed, at_least=1)
        pad_after = hp.horizon - 1 if hp.pad_after is None else hp.pad_after
        sizes = (hp.n_obs_steps, hp.horizon, pad_after)
        self.val_windows = Windows(demos, val.sort().values, *sizes) if len(val) else None
        self.train_windows = Windows(demos, train.sort().values, *sizes)

    def action_scale(self) -> Tensor:
        """(T, 1) pixels: root mean square of the training actions at each step, relative to the pointer.

        As they were recorded, once each: mirroring does not change it. Raises ValueError before `setup("fit")`.
        """
        if not hasattr(self, "train_windows"):
            raise ValueError('the demonstrations are not read yet; call setup("fit") first')
        parts = torch.arange(len(self.train_windows)).split(max(1, PART // self.horizon))
        return action_scale(self.train_windows.__getitems__(part.tolist()) for part in parts)

    def train_dataloader(self) -> DataLoader:
        return self.loader(
            self.train_windows, shuffle=True, drop_last=len(self.train_windows) >= self.hparams.batch_size
        )

    def val_dataloader(self) -> DataLoader | list:
        return self.loader(self.val_windows) if self.val_windows else held_out.no_validation(self)

    # A policy is tested by acting (`callbacks.rollouts`), on starts that no demonstration has; what is left to show it
    # beside that are the held-out demonstrations.
    def test_dataloader(self) -> DataLoader:
        return self.loader(self.val_windows or self.train_windows)

    predict_dataloader = test_dataloader

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
