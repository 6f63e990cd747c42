"""Small data sets in LeRobot's formats, written here by hand from its description of them.

Two episodes of 5 and 4 steps at 10 steps a second. A camera "observation.images.top" shows 16 x 16 images whose
brightness tells the step.
"""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
from pyarrow import parquet

LENGTHS, FPS = (5, 4), 10
CAMERA = "observation.images.top"
SIZE = 16


def brightness(step: np.ndarray) -> np.ndarray:
    """What the camera shows at a step, counted over all episodes."""
    return 20 + 25 * step


def write_video(path: Path, steps: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv444p"
        for value in brightness(np.asarray(steps)):
            frame = av.VideoFrame.from_ndarray(np.full((SIZE, SIZE, 3), value, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def rows(episode: int) -> dict[str, Any]:
    length, first = LENGTHS[episode], sum(LENGTHS[:episode])
    step = np.arange(first, first + length, dtype=np.float32)
    return {
        "observation.state": np.stack([step, -step, 0 * step], 1).tolist(),
        "observation.goal": (10 * step).tolist(),
        "action": np.stack([step, step + 0.5], 1).tolist(),
        "timestamp": (np.arange(length) / FPS).tolist(),
        "frame_index": list(range(length)),
        "episode_index": [episode] * length,
        "index": list(range(first, first + length)),
        "task_index": [0] * length,
    }


def write_folder(folder: Path, version: str, videos: bool = True, info: dict[str, Any] | None = None) -> Path:
    """Version 2.1: a Parquet file and a video for each episode; 3.0: all episodes in one of each."""
    new = version == "v3.0"
    features = {
        "observation.state": {"dtype": "float32", "shape": [3]},
        "observation.goal": {"dtype": "float32", "shape": [1]},
        "action": {"dtype": "float32", "shape": [2]},
        CAMERA: {"dtype": "video", "shape": [SIZE, SIZE, 3]},
        **{name: {"dtype": "int64", "shape": [1]} for name in ("frame_index", "episode_index", "index", "task_index")},
        "timestamp": {"dtype": "float32", "shape": [1]},
    }
    place = "chunk-{chunk_index:03d}/file-{file_index:03d}" if new else "chunk-{episode_chunk:03d}"
    said = {
        "codebase_version": version,
        "fps": FPS,
        "total_episodes": len(LENGTHS),
        "total_frames": sum(LENGTHS),
        "chunks_size": 1000,
        "data_path": f"data/{place}.parquet" if new else f"data/{place}/episode_{{episode_index:06d}}.parquet",
        "video_path": "videos/{video_key}/" + place + ".mp4"
        if new
        else "videos/" + place + "/{video_key}/episode_{episode_index:06d}.mp4",
        "features": features,
    }
    (folder / "meta").mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(said | (info or {})))
    data = folder / "data/chunk-000"
    data.mkdir(parents=True)
    tables = [pa.table(rows(episode)) for episode in range(len(LENGTHS))]
    if not new:
        for episode, table in enumerate(tables):
            parquet.write_table(table, data / f"episode_{episode:06d}.parquet")
            steps = np.arange(LENGTHS[episode]) + sum(LENGTHS[:episode])
            if videos:
                write_video(folder / f"videos/chunk-000/{CAMERA}/episode_{episode:06d}.mp4", steps)
        return folder
    parquet.write_table(pa.concat_tables(tables), data / "file-000.parquet")
    if videos:
        write_video(folder / f"videos/{CAMERA}/chunk-000/file-000.mp4", np.arange(sum(LENGTHS)))
    begins = [sum(LENGTHS[:episode]) / FPS for episode in range(len(LENGTHS))]
    episodes = {
        "episode_index": list(range(len(LENGTHS))),
        "length": list(LENGTHS),
        f"videos/{CAMERA}/chunk_index": [0] * len(LENGTHS),
        f"videos/{CAMERA}/file_index": [0] * len(LENGTHS),
        f"videos/{CAMERA}/from_timestamp": begins,
    }
    (folder / "meta/episodes/chunk-000").mkdir(parents=True)
    parquet.write_table(pa.table(episodes), folder / "meta/episodes/chunk-000/file-000.parquet")
    return folder
