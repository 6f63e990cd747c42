"""Demonstrations of Push-T in the columns of the human data: a folder of LeRobot's format, or one Parquet file.

The world is deterministic: an episode follows from its start and its actions. It is written by stepping it again, so
what is in the file is what happens in the environment.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from envs.lerobot_dataset import write_dataset
from envs.pusht import CONTROL_HZ, PushT

TASK, ROBOT = "Push the T-shaped block onto the T-shaped target.", "2d pointer"

_POINTS = pa.list_(pa.float32())
SCHEMA = pa.schema(
    {
        "observation.state": _POINTS,  # (2,) pointer
        "observation.environment_state": _POINTS,  # (16,) the block's 8 corners
        "action": _POINTS,  # (2,) target of the pointer
        "episode_index": pa.int64(),
        "frame_index": pa.int64(),
        "timestamp": pa.float32(),
        "next.reward": pa.float32(),
        "next.done": pa.bool_(),
        "next.success": pa.bool_(),
        "index": pa.int64(),
        "task_index": pa.int64(),
        "block_pose": _POINTS,  # (3,) x, y, angle
        "n_contacts": pa.float32(),
    }
)


def _rounded(pixels: np.ndarray) -> np.ndarray:
    """To 1/64 pixel: finer than anything a policy could use, and the file shrinks to half."""
    return np.round(pixels * 64) / 64


class EpisodeActions(NamedTuple):
    """All that an episode follows from: how it began and what was done."""

    reset: dict[str, Any]  # arguments of `PushT.reset`
    actions: np.ndarray  # (L, 2) targets of the pointer, pixels


def record(
    episodes: Iterable[EpisodeActions], path: str | Path, provenance: dict[str, Any], legacy_resets: bool = True
) -> int:
    """Step every episode again and write its rows to `path`, with how they were made.

    A path that ends in .parquet becomes one file, whose metadata say it; any other a folder (`envs.lerobot_dataset`).
    Either appears under its name only when it is complete. Returns the number of rows.
    """
    env = PushT("keypoints", legacy_resets=legacy_resets, count_contacts=True)
    stepped = [_stepped(env, episode) for episode in episodes]
    if Path(path).suffix != ".parquet":
        return write_dataset(path, stepped, CONTROL_HZ, TASK, ROBOT, provenance)
    return _write_file(Path(path), stepped, provenance)


def _stepped(env: PushT, episode: EpisodeActions) -> dict[str, np.ndarray]:
    """What happens in an episode: its columns, without those that count rows."""
    observation, info = env.reset(**episode.reset)
    rows: list[tuple[Any, ...]] = []
    for frame, action in enumerate(episode.actions):
        pose = info["block_pose"]
        following, reward, success, _, info = env.step(action)
        last = frame == len(episode.actions) - 1
        rows.append((_rounded(observation), np.asarray(action), reward, last, success, pose, info["n_contacts"]))
        observation = following
    keypoints, action, rewards, done, successes, poses, contacts = map(np.array, zip(*rows, strict=True))
    return {
        "observation.state": keypoints[:, :2],
        "observation.environment_state": keypoints[:, 2:],
        "action": action,
        "next.reward": rewards,
        "next.done": done,
        "next.success": successes,
        "block_pose": poses,
        "n_contacts": contacts.astype(np.float32),
    }


def _write_file(path: Path, episodes: list[dict[str, np.ndarray]], provenance: dict[str, Any]) -> int:
    lengths = [len(episode["action"]) for episode in episodes]
    frame = np.concatenate([np.arange(length) for length in lengths])
    counted = {
        "episode_index": np.repeat(np.arange(len(lengths)), lengths),
        "frame_index": frame,
        "timestamp": frame / CONTROL_HZ,
        "index": np.arange(len(frame)),
        "task_index": np.zeros(len(frame), int),
    }
    columns = {
        name: list(counted[name] if name in counted else np.concatenate([episode[name] for episode in episodes]))
        for name in SCHEMA.names
    }
    metadata = {"firstlight": json.dumps(provenance)}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(
        pa.table(columns, schema=SCHEMA.with_metadata(metadata)),
        unfinished,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        use_byte_stream_split=[f"{field.name}.list.element" for field in SCHEMA if field.type == _POINTS],
    )
    unfinished.replace(path)
    return len(frame)
