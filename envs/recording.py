"""Demonstrations as Parquet files, in the columns of the human data.

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

from envs.pusht import CONTROL_HZ, PushT

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
    """Step every episode again and write its rows to `path`; `provenance` becomes the file's metadata.

    Returns the number of rows. The file appears under its name only when it is complete.
    """
    env = PushT("keypoints", legacy_resets=legacy_resets, count_contacts=True)
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for episode, (reset, actions) in enumerate(episodes):
        observation, info = env.reset(**reset)
        for frame, action in enumerate(actions):
            pose = info["block_pose"]
            following, reward, success, _, info = env.step(action)
            row = {
                "observation.state": _rounded(observation[:2]),
                "observation.environment_state": _rounded(observation[2:]),
                "action": np.asarray(action),
                "episode_index": episode,
                "frame_index": frame,
                "timestamp": frame / CONTROL_HZ,
                "next.reward": reward,
                "next.done": frame == len(actions) - 1,
                "next.success": success,
                "index": len(columns["index"]),
                "task_index": 0,
                "block_pose": pose,
                "n_contacts": info["n_contacts"],
            }
            for name, value in row.items():
                columns[name].append(value)
            observation = following
    metadata = {"firstlight": json.dumps(provenance)}
    path = Path(path)
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
    return len(columns["index"])
