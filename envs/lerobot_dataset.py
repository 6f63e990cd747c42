"""Episodes written as a folder of LeRobot's format, version 3.0, which `lerobot` opens.

    meta/info.json                                what the columns hold
    meta/stats.json                               minimum, maximum, mean and deviation of each column
    meta/tasks.parquet                            the task in words
    meta/episodes/chunk-000/file-000.parquet      a row for each episode: its length, its rows, its own statistics
    meta/firstlight.json                          how it was made
    data/chunk-000/file-000.parquet               a row for each step

L steps of an episode.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import limits

VERSION = "v3.0"
OWN = "meta/firstlight.json"
FILE = "chunk-000/file-000.parquet"
INDICES = ("timestamp", "frame_index", "episode_index", "index", "task_index")
LARGEST_FILE = {"data_files_size_in_mb": 100, "video_files_size_in_mb": 200}  # LeRobot's own; it splits no episode


def write_dataset(
    path: str | Path,
    episodes: Sequence[Mapping[str, np.ndarray]],
    fps: int,
    task: str,
    robot_type: str,
    provenance: Mapping[str, Any],
) -> int:
    """Write episodes as a folder; returns the number of rows.

    It appears under its name only when it is complete, in place of one that was written here before.

    Args:
        path: the folder.
        episodes: columns of each, such as "observation.state" (L, n), "action" (L, A) and "next.reward" (L,).
        fps: steps a second.
        task: in words.
        robot_type: in a word or two.
        provenance: how it was made, in plain values.

    Raises ValueError for episodes that do not agree, and where something else lies in the folder's place.
    """
    limits.whole(1, 10_000, fps=fps)
    path = Path(path)
    check_place(path)
    columns = [_with_indices(episode, number, episodes, fps) for number, episode in enumerate(episodes)]
    schema = _schema(columns)
    unfinished = path.with_name(path.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for folder in ("data/chunk-000", "meta/episodes/chunk-000"):
        (unfinished / folder).mkdir(parents=True)
    with pq.ParquetWriter(unfinished / "data" / FILE, schema, compression="zstd") as writer:
        for episode in columns:  # a row group of its own, so that a reader can pick one
            arrays = [_array(episode[name], schema.field(name)) for name in schema.names]
            writer.write_table(pa.table(arrays, schema=schema))
    _write_meta(unfinished, columns, schema, fps, task, robot_type)
    (unfinished / OWN).write_text(json.dumps(dict(provenance), indent=1) + "\n")
    if (path / OWN).exists():
        before = path.with_name(path.name + ".before")
        shutil.rmtree(before, ignore_errors=True)
        path.rename(before)
        unfinished.rename(path)
        shutil.rmtree(before)
    else:
        unfinished.replace(path)
    return sum(len(episode["index"]) for episode in columns)


def check_place(path: Path) -> None:
    """Raises ValueError where something lies that a recorded folder must not take the place of."""
    if path.exists() and not (path / OWN).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(f"{path} is there already and was not recorded here; name another folder")


def _with_indices(
    episode: Mapping[str, np.ndarray], number: int, episodes: Sequence[Mapping[str, np.ndarray]], fps: int
) -> dict[str, np.ndarray]:
    """An episode's columns, with those that every set has."""
    lengths = {len(values) for values in episode.values()}
    if len(lengths) != 1 or 0 in lengths or episode.keys() != episodes[0].keys():
        raise ValueError(
            f"episode {number} has {', '.join(f'{name} {np.shape(values)}' for name, values in episode.items())}; each "
            "needs the same columns, one row for every step"
        )
    (length,) = lengths
    frame, first = np.arange(length), sum(len(next(iter(one.values()))) for one in episodes[:number])
    indices = [frame / fps, frame, np.full(length, number), first + frame, np.zeros(length)]
    types = [np.float32, *[np.int64] * 4]
    return {
        **{name: np.asarray(values) for name, values in episode.items()},
        **{name: values.astype(kind) for name, values, kind in zip(INDICES, indices, types, strict=True)},
    }


def _schema(episodes: Sequence[dict[str, np.ndarray]]) -> pa.Schema:
    if not episodes:
        raise ValueError("there is no episode to write")
    fields = {}
    for name, values in episodes[0].items():
        shapes = {episode[name].shape[1:] for episode in episodes}
        if len(shapes) != 1 or values.ndim > 2:
            raise ValueError(f"{name} has rows of the shapes {sorted(shapes)}; write numbers, as many in every episode")
        kind = {"f": pa.float32(), "b": pa.bool_()}.get(values.dtype.kind, pa.int64())
        fields[name] = kind if values.ndim == 1 else pa.list_(kind, values.shape[1])
    return pa.schema(fields)


def _array(values: np.ndarray, field: pa.Field) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values.astype(field.type.to_pandas_dtype()))
    kind = field.type.value_type
    return pa.FixedSizeListArray.from_arrays(pa.array(values.astype(kind.to_pandas_dtype()).ravel()), values.shape[1])


def _statistics(values: np.ndarray) -> dict[str, list[float]]:
    """Of each dimension, over the steps (L,) or (L, n): lists of 1 or n."""
    exact = values.reshape(len(values), -1).astype(np.float64)
    found = {"min": exact.min(0), "max": exact.max(0), "mean": exact.mean(0), "std": exact.std(0)}
    return {**{name: one.tolist() for name, one in found.items()}, "count": [len(values)]}


def _write_meta(
    folder: Path, episodes: Sequence[dict[str, np.ndarray]], schema: pa.Schema, fps: int, task: str, robot_type: str
) -> None:
    lengths = [len(episode["index"]) for episode in episodes]
    ends = np.cumsum(lengths)
    info = {
        "codebase_version": VERSION,
        "robot_type": robot_type,
        "total_episodes": len(episodes),
        "total_frames": int(ends[-1]),
        "total_tasks": 1,
        "chunks_size": 1000,
        **LARGEST_FILE,
        "fps": fps,
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": {field.name: _feature(field) for field in schema},
    }
    (folder / "meta/info.json").write_text(json.dumps(info, indent=4) + "\n")
    whole = {name: _statistics(np.concatenate([episode[name] for episode in episodes])) for name in schema.names}
    (folder / "meta/stats.json").write_text(json.dumps(whole, indent=4) + "\n")
    pq.write_table(_tasks(task), folder / "meta/tasks.parquet")
    rows: dict[str, list[Any]] = {
        "episode_index": list(range(len(episodes))),
        "tasks": [[task]] * len(episodes),
        "length": lengths,
        "data/chunk_index": [0] * len(episodes),
        "data/file_index": [0] * len(episodes),
        "dataset_from_index": (ends - lengths).tolist(),
        "dataset_to_index": ends.tolist(),
        "meta/episodes/chunk_index": [0] * len(episodes),
        "meta/episodes/file_index": [0] * len(episodes),
    }
    for name in schema.names:
        own = [_statistics(episode[name]) for episode in episodes]
        rows |= {f"stats/{name}/{kind}": [one[kind] for one in own] for kind in own[0]}
    pq.write_table(pa.table(rows), folder / "meta/episodes" / FILE)


def _feature(field: pa.Field) -> dict[str, Any]:
    """What meta/info.json says of a column."""
    vector = pa.types.is_fixed_size_list(field.type)
    kind = field.type.value_type if vector else field.type
    words = {pa.float32(): "float32", pa.bool_(): "bool", pa.int64(): "int64"}
    return {"dtype": words[kind], "shape": [field.type.list_size if vector else 1], "names": None}


def _tasks(task: str) -> pa.Table:
    """The one task; by the table's metadata its words are the index of a table of pandas, in which LeRobot looks."""
    kinds = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
    columns = [
        {"name": name, "field_name": name, "pandas_type": ours, "numpy_type": numpys, "metadata": None}
        for name, (ours, numpys) in kinds.items()
    ]
    metadata = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    table = pa.table({"task_index": [0], "task": [task]})
    return table.replace_schema_metadata({"pandas": json.dumps(metadata)})
