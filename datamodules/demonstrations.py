"""Demonstrations of Push-T, read from a source: episodes of observations and the actions that followed.

N steps in all, E episodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset as Rows
from torch import Tensor

from datamodules import sources

EPISODE, FRAME = "episode_index", "frame_index"
COLUMNS = ["observation.state", "observation.environment_state", "action", EPISODE]
BUNDLED = "bundled"
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
    """The order of rows in which episodes follow one another, frame by frame, and where one ends and the next begins.

    Raises ValueError where rows of an episode are missing, or are there twice.
    """
    if frame is None:
        changes = np.flatnonzero(np.diff(episode)) + 1
        if len(changes) + 1 != len(np.unique(episode)):
            raise ValueError(
                f"the episodes of {source!r} are interleaved, and no column {FRAME} says which row follows which"
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
