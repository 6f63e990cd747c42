"""LeRobot's data sets, versions 2.0, 2.1 and 3.0: what their meta/ says, and their videos.

    meta/info.json       version, frames per second, the features (columns) with their shapes, where files lie
    meta/episodes...     version 3.0: which part of which video belongs to an episode
    data/...parquet      a row for each step: read by `datamodules.episodes`
    videos/...mp4        for each camera: version 2 a file for each episode, 3.0 several episodes in a file

Statistics (meta/stats.json) are not read: a datamodule measures those of the episodes that are trained on.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import hf_hub_download, snapshot_download
from pyarrow import parquet
from torch import Tensor

from datamodules.video_frames import video_frames

INFO = "meta/info.json"
VERSIONS = ("v2.0", "v2.1", "v3.0")


@dataclass
class LeRobotFolder:
    """A folder with a meta/info.json that names a version of LeRobot's format."""

    path: Path
    info: dict[str, Any]

    @classmethod
    def at(cls, path: Path, keys: Sequence[str]) -> "LeRobotFolder | None":
        """The folder at a path; None where it is no such one.

        Raises ValueError for a folder of another version, or that lacks one of the features `keys`.
        """
        if not (path / INFO).is_file():
            return None
        try:
            info = json.loads((path / INFO).read_text("utf-8"))
        except (ValueError, OSError) as error:
            raise ValueError(f"{path / INFO} is no readable JSON: {str(error).splitlines()[0]}") from error
        if not isinstance(info, dict) or "codebase_version" not in info:
            return None  # Parquet files with notes beside them
        if info["codebase_version"] not in VERSIONS:
            raise ValueError(
                f"{path / INFO} says version {info['codebase_version']}; read are {', '.join(VERSIONS)}: convert it "
                "with LeRobot's own scripts"
            )
        features = info.get("features")
        if not isinstance(features, dict):
            raise ValueError(f"{path / INFO} names no features, which say what the columns hold")
        if missing := [key for key in keys if key not in features]:
            raise ValueError(f"the data at {str(path)!r} lack {', '.join(missing)}; they have {', '.join(features)}")
        return cls(path, info)

    @property
    def video_keys(self) -> list[str]:
        """The features that lie in videos."""
        return [key for key, feature in self.info["features"].items() if feature.get("dtype") == "video"]

    def shape(self, key: str) -> Sequence[int] | None:
        """What meta/info.json says of a feature's shape."""
        return self.info["features"][key].get("shape")

    def check_steps(self, steps: int) -> None:
        """Raises ValueError where the rows that are there are not those that meta/info.json counts."""
        expected = self.info.get("total_frames", steps)
        if steps != expected:
            raise ValueError(
                f"{str(self.path)!r} holds {steps} of the {expected} steps that {INFO} counts; fetch it once more"
            )

    def frames(self, key: str, episodes: np.ndarray, times: np.ndarray | None) -> Tensor:
        """What a camera saw at these steps, in their order: (n, 3, H, W) uint8.

        Args:
            key: the feature.
            episodes: (n,) the episode of each step, all steps of one together.
            times: (n,) seconds since the episode began; where not known, one frame a step.
        """
        fps = float(self.info.get("fps") or 0)
        if fps <= 0:
            raise ValueError(f"{self.path / INFO} says fps={self.info.get('fps')!r}; videos need frames per second")
        numbers, starts, counts = np.unique(episodes, return_index=True, return_counts=True)
        if times is None:
            times = np.concatenate([np.arange(count) for count in counts[np.argsort(starts)]]) / fps
        files, offsets = zip(*(self._video(key, int(number)) for number in numbers), strict=True)
        of_step = np.searchsorted(numbers, episodes)
        shown = np.asarray(times, np.float64) + np.asarray(offsets)[of_step]
        frames: Tensor | None = None
        for file in dict.fromkeys(files):
            rows = np.flatnonzero(np.array([one == file for one in files])[of_step])
            found = video_frames(file, shown[rows], 0.5 / fps)
            if frames is None:
                frames = torch.empty(len(episodes), *found.shape[1:], dtype=torch.uint8)
            if frames.shape[1:] != found.shape[1:]:
                raise ValueError(f"the videos of {key} in {str(self.path)!r} have frames of different sizes")
            frames[torch.from_numpy(rows)] = found
        assert frames is not None
        return frames

    def _video(self, key: str, episode: int) -> tuple[Path, float]:
        """The file that shows an episode, and at which second of it the episode begins."""
        words: dict[str, Any] = {"video_key": key, "episode_index": episode}
        begin = 0.0
        if self.info["codebase_version"] == "v3.0":
            row = self._episodes.get(episode, {})
            names = [f"videos/{key}/{part}" for part in ("chunk_index", "file_index", "from_timestamp")]
            if any(row.get(name) is None for name in names):
                raise ValueError(
                    f"meta/episodes of {str(self.path)!r} do not say which video shows {key} of episode {episode}"
                )
            words["chunk_index"], words["file_index"], begin = (row[name] for name in names)
        else:
            words["episode_chunk"] = episode // int(self.info.get("chunks_size") or 1000)
        pattern = self.info.get("video_path")
        try:
            file = self.path / str(pattern).format(**words)
        except (KeyError, ValueError, IndexError):
            raise ValueError(f"{self.path / INFO} says video_path={pattern!r}, which names no file") from None
        if not pattern or not file.is_file():
            raise ValueError(
                f"the video {file} of episode {episode} is missing; fetch the data set once more, with its videos"
            )
        return file, float(begin)

    @cached_property
    def _episodes(self) -> dict[int, dict[str, Any]]:
        """The rows of meta/episodes by episode, without its statistics."""
        rows: dict[int, dict[str, Any]] = {}
        for file in sorted((self.path / "meta/episodes").rglob("*.parquet")):
            try:
                names = [name for name in parquet.read_schema(file).names if not name.startswith("stats/")]
                found = parquet.read_table(file, columns=names).to_pylist()
            except (OSError, ValueError) as error:  # pyarrow's own errors are of these
                raise ValueError(f"{file} cannot be read as Parquet: {str(error).splitlines()[0]}") from error
            rows |= {int(row["episode_index"]): row for row in found if "episode_index" in row}
        return rows


def fetched(source: str, keys: Sequence[str]) -> Path | None:
    """A data set of the Hub, with the videos of these features; None where the Hub gives none in this format."""
    try:
        hf_hub_download(source, INFO, repo_type="dataset")
        patterns = ["meta/*", "data/*", *(f"videos/*{key}/*" for key in keys)]
        return Path(snapshot_download(source, repo_type="dataset", allow_patterns=patterns))
    except Exception:  # of many kinds; `datamodules.sources` has said what is wrong with the source
        return None
