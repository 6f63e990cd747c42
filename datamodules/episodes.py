"""Recorded episodes, read from a source: what was observed at each step, and the action that followed.

N steps in all, E episodes, A action dimensions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from datasets import Dataset as Rows
from torch import Tensor

from datamodules import sources
from datamodules.lerobot_folder import LeRobotFolder, fetched
from datamodules.stored_images import decode_images, is_image
from envs.observations import arrays, map_observation

EPISODE, FRAME, TIME = "episode_index", "frame_index", "timestamp"
Columns: TypeAlias = str | Sequence[str]
"""One column, or several side by side as one vector."""
ObservationColumns: TypeAlias = Columns | Mapping[str, Columns]
"""What an observation is: one array, or several by key, as a gymnasium environment names them."""


@dataclass
class Episodes:
    """Episodes, one after the other. N steps in all, E episodes.

    `observations` is a tensor, or a dictionary of them by key: (N, n) float32 in the units of the world, or images
    (N, C, H, W) uint8.
    """

    observations: Tensor | dict[str, Tensor]
    actions: Tensor  # (N, A) float32
    starts: Tensor  # (E,) index of each episode's first step
    ends: Tensor  # (E,) index after each episode's last step

    def __post_init__(self):
        self.lengths = self.ends - self.starts


def read_episodes(
    source: str | Sequence[str],
    observation: ObservationColumns,
    action: Columns = "action",
    sizes: Mapping[str, int] | None = None,
) -> Episodes:
    """All episodes at a source (see `datamodules.sources`) or several, one source after the other.

    An episode is the rows of one file with one `episode_index`, in order of their `frame_index`; without that column,
    rows that follow one another. Images lie in the rows or, in LeRobot's folders, in videos.

    Args:
        source: where they are.
        observation: columns that make an observation.
        action: columns that make an action.
        sizes: how many numbers a row of a column must have, where that is known.

    Raises FileNotFoundError where there is nothing at a source, ValueError where it holds no whole episodes.
    """
    if not isinstance(source, str):
        if not source:
            raise ValueError("source=[] names no demonstrations; name at least one file, folder or Hub id")
        return joined([read_episodes(one, observation, action, sizes) for one in source])
    groups = [_listed(columns) for columns in (*arrays(observation), action)]
    named = [column for group in groups for column in group]
    if not all(groups) or not all(named) or len(groups) == 1:
        raise ValueError(f"observation={observation!r}, action={action!r}: name at least one column for each")
    place = Path(sources.resolve(source))
    folder = LeRobotFolder.at(place, named)
    videos = [column for column in named if folder and column in folder.video_keys]
    stored = [column for column in dict.fromkeys([*named, EPISODE]) if column not in videos]
    optional = [column for column in (FRAME, TIME) if column not in stored]
    try:
        parts = sources.load_files(source, columns=stored, optional=optional)
    except ValueError:  # of a Hub id, the rows alone were looked at; what they lack may be in its videos
        copy = None if place.exists() else fetched(source, named)
        if copy is None:
            raise
        return read_episodes(str(copy), observation, action, sizes)
    if folder:
        folder.check_steps(sum(map(len, parts)))
    return joined(
        [_read(rows, source, folder, videos, observation, action, sizes or {}) for rows in parts if len(rows)]
    )


def _listed(columns: Columns) -> list[str]:
    return [columns] if isinstance(columns, str) else list(columns)


def _read(
    rows: Rows,
    source: str,
    folder: LeRobotFolder | None,
    videos: Sequence[str],
    observation: ObservationColumns,
    action: Columns,
    sizes: Mapping[str, int],
) -> Episodes:
    """The episodes of one file."""
    indices = {name: _whole_numbers(rows, name, source) for name in (EPISODE, FRAME) if name in rows.column_names}
    order, borders = _order(indices[EPISODE], indices.get(FRAME), source)
    starts = np.concatenate([[0], borders])

    def vector(column: str) -> Tensor:
        shape = folder.shape(column) if folder else None
        array = _numbers(rows, column, source, sizes.get(column), shape)
        return torch.from_numpy(array[order].astype(np.float32))

    def images(column: str) -> Tensor:
        if folder and column in videos:
            times = _values(rows, TIME)[order] if TIME in rows.column_names else None
            return folder.frames(column, indices[EPISODE][order], times)
        return decode_images(rows.data.table[column].take(order), f"column {column} of {source!r}")

    def of_images(columns: Columns) -> list[str]:
        return [column for column in _listed(columns) if column in videos or is_image(rows.features[column])]

    def read(columns: Columns) -> Tensor:
        listed = _listed(columns)
        if not (own := of_images(columns)):
            return torch.cat([vector(column) for column in listed], 1)
        if len(listed) > 1:
            raise ValueError(
                f"{', '.join(listed)} cannot be one vector, as {own[0]} holds images; give images a key of their own, "
                "as in {image: " + own[0] + "}"
            )
        return images(listed[0])

    if of_images(action):
        raise ValueError(f"action={action!r} names images in {source!r}; name columns of numbers")
    return Episodes(
        observations=map_observation(read, observation),
        actions=read(action),
        starts=torch.from_numpy(starts),
        ends=torch.from_numpy(np.concatenate([borders, [len(order)]])),
    )


def _values(rows: Rows, column: str) -> np.ndarray:
    return np.asarray(rows.select_columns(column).with_format("numpy")[:][column])


def _whole_numbers(rows: Rows, name: str, source: str) -> np.ndarray:
    values = _values(rows, name)
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise ValueError(f"column {name} of {source!r} must hold whole numbers; it has {rows.features[name]}")
    return values


def _numbers(rows: Rows, column: str, source: str, size: int | None, shape: Sequence[int] | None) -> np.ndarray:
    """(rows, n) numbers. Raises ValueError where they are none, or of another size than is expected."""
    try:
        array = _values(rows, column)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype.kind == "O":
        raise ValueError(f"column {column} of {source!r} holds no rows of equally many numbers")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"column {column} of {source!r} holds {array.dtype}; expected numbers")
    array = array[:, None] if array.ndim == 1 else array
    expected = (size,) if size is not None else None if shape is None else tuple(shape)
    if array.ndim != 2 or (expected is not None and array.shape[1:] != expected):
        says = "" if size is not None or shape is None else ", as meta/info.json says"
        raise ValueError(
            f"column {column} of {source!r} holds rows of shape {array.shape[1:]}; expected {expected or '(n,)'}{says}"
        )
    if not np.isfinite(array.astype(np.float64)).all():
        raise ValueError(f"column {column} of {source!r} holds values that are not finite")
    return array


def _order(episode: np.ndarray, frame: np.ndarray | None, source: str) -> tuple[np.ndarray, np.ndarray]:
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


def joined(parts: Sequence[Episodes]) -> Episodes:
    """The episodes of all parts, one part after the other. Raises ValueError where their sizes differ."""
    offsets = np.cumsum([0, *(len(part.actions) for part in parts)])[:-1].tolist()
    return Episodes(
        observations=map_observation(
            lambda *tensors: _stacked("observations", tensors), *(part.observations for part in parts)
        ),
        actions=_stacked("actions", [part.actions for part in parts]),
        starts=torch.cat([part.starts + offset for part, offset in zip(parts, offsets, strict=True)]),
        ends=torch.cat([part.ends + offset for part, offset in zip(parts, offsets, strict=True)]),
    )


def _stacked(what: str, tensors: Sequence[Tensor]) -> Tensor:
    shapes = sorted({tuple(tensor.shape[1:]) for tensor in tensors})
    if len(shapes) > 1:
        raise ValueError(
            f"{what} have the shape {shapes[0]} in one file and {shapes[1]} in another; name files that agree"
        )
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))
