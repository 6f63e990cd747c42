"""Push-T demonstrations as windows: what a policy saw, and the actions that followed.

For step t of an episode, with O = n_obs_steps and T = horizon:

    observations   t-O+1 .. t         (O, 18) pointer and the block's 8 corners, pixels
    actions                t .. t+T-1 (T, 2)  targets of the pointer, pixels

    taken                  t .. t+T-1 (T,)    whether that action lies within the episode

Before an episode's first step its first observation is repeated, after its last one its last action (not taken).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import numpy as np
import torch
from datasets import Dataset as Rows
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import limits
from datamodules import held_out, sources
from datamodules.stateful_loader import StatefulLoader
from envs import t_block

EPISODE, FRAME = "episode_index", "frame_index"
COLUMNS = ["observation.state", "observation.environment_state", "action", EPISODE]
BUNDLED = "bundled"
LONGEST = 10_000  # steps of a window at most: nothing that anybody records acts on more at once
BUNDLED_FILES = sorted((Path(__file__).parent / "bundled").glob("pusht*.parquet"))


@dataclass
class Demonstrations:
    """Episodes, one after the other. N steps in all, E episodes."""

    observations: Tensor  # (N, 18) pixels
    actions: Tensor  # (N, 2) pixels
    starts: Tensor  # (E,) index of each episode's first step
    ends: Tensor  # (E,) index after each episode's last step

    def __post_init__(self):
        self.lengths = self.ends - self.starts


def read_demonstrations(source: str | Sequence[str]) -> Demonstrations:
    """All episodes at a source (see `datamodules.sources`) or several, one source after the other.

    An episode is the rows of one file with one `episode_index`, in order of their `frame_index`; without that column,
    rows that follow one another. "bundled" are the episodes that come with Firstlight.

    Raises FileNotFoundError where there is nothing at a source, ValueError where it holds no whole episodes.
    """
    if source == BUNDLED:
        source = [str(file) for file in BUNDLED_FILES]
    if not isinstance(source, str):
        if not source:
            raise ValueError("source=[] names no demonstrations; name at least one file, folder or Hub id")
        return _joined([read_demonstrations(one) for one in source])
    parts = sources.load_files(source, columns=COLUMNS, optional=[FRAME])
    return _joined([_read(rows, source) for rows in parts if len(rows)])


def _read(rows: Rows, source: str) -> Demonstrations:
    """The episodes of one file."""
    values = rows.with_format("numpy")[:]
    pointer, corners, action = (np.asarray(values[column]) for column in COLUMNS[:3])
    for name, array, width in [(COLUMNS[0], pointer, 2), (COLUMNS[1], corners, 16), (COLUMNS[2], action, 2)]:
        if array.shape != (len(rows), width):
            raise ValueError(f"column {name} of {source!r} holds rows of shape {array.shape[1:]}; expected ({width},)")
        if array.dtype.kind not in "fiu":
            raise ValueError(f"column {name} of {source!r} holds {array.dtype}; expected numbers")
        if not np.isfinite(array.astype(np.float64)).all():
            raise ValueError(f"column {name} of {source!r} holds values that are not finite")
    for name in rows.column_names[3:]:
        if np.asarray(values[name]).dtype.kind not in "iu":
            raise ValueError(f"column {name} of {source!r} must hold whole numbers; it has {rows.features[name]}")
    order, borders = _episodes(np.asarray(values[EPISODE]), values.get(FRAME), source)
    return Demonstrations(
        observations=torch.from_numpy(np.concatenate([pointer, corners], 1)[order].astype(np.float32)),
        actions=torch.from_numpy(action[order].astype(np.float32)),
        starts=torch.from_numpy(np.concatenate([[0], borders])),
        ends=torch.from_numpy(np.concatenate([borders, [len(order)]])),
    )


def _episodes(episode: np.ndarray, frame: np.ndarray | None, source: str) -> tuple[np.ndarray, np.ndarray]:
    """The order of rows in which episodes follow one another, frame by frame, and the places where one ends.

    Raises ValueError where rows of an episode are missing, or are there twice.
    """
    if frame is None:
        changes = np.flatnonzero(np.diff(episode)) + 1
        if len(changes) + 1 != len(np.unique(episode)):
            raise ValueError(
                f"the episodes of {source!r} lie among one another, and no column {FRAME} says which row follows which"
            )
        return np.arange(len(episode)), changes
    order = np.lexsort([frame, episode])
    episode, frame = episode[order], frame[order]
    borders = np.flatnonzero(np.diff(episode)) + 1
    lengths = np.diff(borders, prepend=0, append=len(episode))
    wrong = np.flatnonzero(frame != np.arange(len(frame)) - np.repeat(np.cumsum(lengths) - lengths, lengths))
    if len(wrong):
        own = frame[episode == episode[wrong[0]]]
        raise ValueError(
            f"episode {episode[wrong[0]]} of {source!r} has {len(own)} rows with {FRAME} from {own[0]} to {own[-1]}; "
            "the steps of an episode must count from 0, each once in its file"
        )
    return order, borders


def _joined(parts: list[Demonstrations]) -> Demonstrations:
    offsets = np.cumsum([0, *(len(part.actions) for part in parts)])[:-1].tolist()
    return Demonstrations(
        observations=torch.cat([part.observations for part in parts]),
        actions=torch.cat([part.actions for part in parts]),
        starts=torch.cat([part.starts + offset for part, offset in zip(parts, offsets, strict=True)]),
        ends=torch.cat([part.ends + offset for part, offset in zip(parts, offsets, strict=True)]),
    )


class Windows(Dataset):
    """Windows of some episodes, a batch at a time: {"observation": (B, O, 18), "action": (B, T, 2), "taken": (B, T)},
    and "index" (B,), which number them.

    A window starts at every step of an episode from which at most `pad_after` of its actions lie past the end.
    """

    def __init__(self, demos: Demonstrations, episodes: Tensor, n_obs_steps: int, horizon: int, pad_after: int):
        _check_window(n_obs_steps, horizon, pad_after)
        self.demos, self.n_obs_steps, self.horizon = demos, n_obs_steps, horizon
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

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        index = torch.as_tensor(indices)
        now, first, last = (values[index, None] for values in (self.steps, self.first, self.last))  # (B, 1)
        past = (now + torch.arange(1 - self.n_obs_steps, 1)).maximum(first)  # (B, O)
        future = (now + torch.arange(self.horizon)).minimum(last)  # (B, T)
        return {
            "observation": self.demos.observations[past],
            "action": self.demos.actions[future],
            "taken": now + torch.arange(self.horizon) <= last,
            "index": index,
        }

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: values[0] for name, values in self.__getitems__([index]).items()}


def _check_window(n_obs_steps: int, horizon: int, pad_after: int) -> None:
    limits.whole(1, LONGEST, n_obs_steps=n_obs_steps, horizon=horizon)
    limits.whole(0, LONGEST, pad_after=pad_after)
    if pad_after >= horizon:
        raise ValueError(f"pad_after={pad_after} must be less than horizon={horizon}")


def aligned(demos: Demonstrations) -> Demonstrations:
    """Every episode turned and shifted as a whole so that its block ends exactly on the target.

    People stop at a coverage of 0.85 to 0.90, about six pixels short. Physics does not care where the target is painted
    (only the walls stay behind, by the same few pixels), so each episode is a perfect demonstration for the target that
    it did reach: hindsight relabelling (Andrychowicz et al. 2017) by a rigid motion instead of a new goal.
    """
    poses = t_block.pose_of(demos.observations[demos.ends - 1, 2:].unflatten(-1, (8, 2)).numpy())  # (E, 3)
    angle = torch.from_numpy(t_block.TARGET_POSE[2] - poses[:, 2])
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).unflatten(-1, (2, 2))  # (E, 2, 2)
    episode = torch.repeat_interleave(torch.arange(len(demos.starts)), demos.lengths)
    rotation, reached = rotation[episode], torch.from_numpy(poses[:, :2])[episode]
    target = torch.from_numpy(t_block.TARGET_POSE[:2])

    def move(points: Tensor) -> Tensor:  # (N, 2 k) pixels
        offsets = points.double().unflatten(-1, (-1, 2)) - reached[:, None]
        return ((offsets @ rotation.mT) + target).flatten(1).float()

    return Demonstrations(move(demos.observations), move(demos.actions), demos.starts, demos.ends)


def mirror(observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    """The same scene in the mirror x + y = 512: (..., 18) and (..., 2) pixels.

    The target, the walls and the physics are their own mirror images, so a mirrored demonstration is as good as a new
    one. (x, y) becomes (512 - y, 512 - x), and the T's left corners become its right ones.
    """
    points = (t_block.WORLD - observation.unflatten(-1, (9, 2))).flip(-1)
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.from_numpy(t_block.MIRRORED_CORNERS)])
    return points[..., order.to(points.device), :].flatten(-2), (t_block.WORLD - action).flip(-1)


class PushTDemos(L.LightningDataModule):
    """Demonstrations from `source`: a Hub id, a folder, a Parquet file of recordings, or "bundled".

    Args:
        source: where the demonstrations are (`datamodules.sources`), one place or several.
        n_obs_steps: O, how many observations the policy sees.
        horizon: T, how many actions it predicts.
        pad_after: how many actions of a window may lie past its episode's end; all but the first by default.
        batch_size: windows in a batch.
        align_ends: move every episode so that it ends exactly on the target (see `aligned`).
        mirror: show every window as it is or mirrored, with equal odds.
        val_share: share of the episodes held out for the validation loss, at least one; 0 for none. Then there is no
            validation, and test shows the episodes that were trained on.
        split_seed: draws which ones.
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
    ):
        super().__init__()
        limits.whole(batch_size=batch_size)
        held_out.check(val_share, split_seed)
        _check_window(n_obs_steps, horizon, horizon - 1 if pad_after is None else pad_after)
        self.save_hyperparameters()

    def setup(self, stage: str | None = None) -> None:
        if hasattr(self, "train_windows"):
            return
        hp = self.hparams
        demos = read_demonstrations(hp.source)
        if hp.align_ends:
            demos = aligned(demos)
        train, val = held_out.split(len(demos.starts), "episodes", hp.val_share, hp.split_seed, at_least=1)
        pad_after = hp.horizon - 1 if hp.pad_after is None else hp.pad_after
        sizes = (hp.n_obs_steps, hp.horizon, pad_after)
        self.val_windows = Windows(demos, val.sort().values, *sizes) if len(val) else None
        self.train_windows = Windows(demos, train.sort().values, *sizes)

    def _loader(self, windows: Windows, **options) -> DataLoader:
        return StatefulLoader(windows, batch_size=self.hparams.batch_size, collate_fn=_as_is, **options)

    def train_dataloader(self) -> DataLoader:
        return self._loader(
            self.train_windows, shuffle=True, drop_last=len(self.train_windows) >= self.hparams.batch_size
        )

    def val_dataloader(self) -> DataLoader | list:
        return self._loader(self.val_windows) if self.val_windows else held_out.no_validation(self)

    # A policy is tested by acting (`callbacks.rollouts`), on starts that no demonstration has; what is left to show it
    # beside that are the held-out demonstrations.
    def test_dataloader(self) -> DataLoader:
        return self._loader(self.val_windows or self.train_windows)

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


def _as_is(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch is made whole by `__getitems__`: nothing to collate."""
    return batch
