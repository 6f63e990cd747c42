import json
import shutil

import numpy as np
import pytest
import torch
from pyarrow import parquet

from datamodules import episodes, lerobot_folder
from datamodules.episodes import read_episodes
from tests.datamodules.lerobot_folders import CAMERA, LENGTHS, SIZE, brightness, write_folder, write_video

BOTH = pytest.mark.parametrize("version", ["v2.1", "v3.0"])
KEYS = {"joints": "observation.state", "top": CAMERA}


@BOTH
def test_columns_and_videos_of_every_version(version, tmp_path):
    read = read_episodes(str(write_folder(tmp_path / "demos", version)), KEYS)
    steps = torch.arange(9.0)
    assert read.lengths.tolist() == list(LENGTHS)
    assert torch.equal(read.actions, torch.stack([steps, steps + 0.5], 1))
    assert torch.equal(read.observations["joints"], torch.stack([steps, -steps, 0 * steps], 1))
    frames = read.observations["top"]
    assert frames.shape == (9, 3, SIZE, SIZE)
    assert frames.dtype == torch.uint8
    expected = torch.from_numpy(brightness(np.arange(9)))
    assert (frames.float().mean((1, 2, 3)) - expected).abs().max() < 2  # a change of colour space rounds


def test_frames_are_decoded_once(tmp_path, monkeypatch):
    source = str(write_folder(tmp_path / "demos", "v3.0"))
    first = read_episodes(source, KEYS)
    monkeypatch.setattr("datamodules.video_frames._decoded", None)
    assert torch.equal(read_episodes(source, KEYS).observations["top"], first.observations["top"])


@BOTH
def test_statistics_and_episodes_are_not_needed_for_numbers(version, tmp_path):
    folder = write_folder(tmp_path / "demos", version, videos=False)
    shutil.rmtree(folder / "meta/episodes", ignore_errors=True)
    read = read_episodes(str(folder), ["observation.goal", "observation.state"])
    assert torch.equal(read.observations[:, 0], 10 * torch.arange(9.0))
    assert read.observations.shape == (9, 4)


def test_a_set_of_the_hub_is_fetched_where_its_rows_lack_a_camera(tmp_path, monkeypatch):
    folder, asked = write_folder(tmp_path / "copy", "v3.0"), []

    def rows_alone(source, columns, optional):
        if source == "someone/demos":
            raise ValueError(f"the data at {source!r} lacks the column {CAMERA}")
        return load_files(source, columns=columns, optional=optional)

    def snapshot(source, repo_type, allow_patterns):
        asked.append((source, repo_type, allow_patterns))
        return str(folder)

    load_files = episodes.sources.load_files
    monkeypatch.setattr(episodes.sources, "load_files", rows_alone)
    monkeypatch.setattr(lerobot_folder, "hf_hub_download", lambda source, file, repo_type: str(folder / file))
    monkeypatch.setattr(lerobot_folder, "snapshot_download", snapshot)
    assert len(read_episodes("someone/demos", CAMERA).observations) == 9
    patterns = ["meta/*", "data/*", f"videos/*{CAMERA}/*", "videos/*action/*"]
    assert asked == [("someone/demos", "dataset", patterns)]


def remove_row(folder):
    path = folder / "data/chunk-000/file-000.parquet"
    parquet.write_table(parquet.read_table(path).slice(0, 8), path)


def rewrite(name, content):
    def change(folder):
        (folder / name).write_text(content)

    return change


def say(**changed):
    def change(folder):
        path = folder / "meta/info.json"
        info = json.loads(path.read_text())
        changes = {key: value for key, value in changed.items() if value is not None}
        path.write_text(json.dumps({key: info[key] for key in info.keys() - changed.keys()} | changes))

    return change


def drop_column(name):
    def change(folder):
        path = folder / "meta/episodes/chunk-000/file-000.parquet"
        parquet.write_table(parquet.read_table(path).drop_columns([name]), path)

    return change


STATE = {"observation.state": {"dtype": "float32", "shape": [7]}}
MISTAKES = {
    "a version that is not read": (say(codebase_version="v1.6"), ["says version v1.6", "v2.0, v2.1, v3.0"]),
    "info that is no JSON": (rewrite("meta/info.json", "{"), ["info.json is no readable JSON"]),
    "no features": (say(features=None), ["names no features"]),
    "a feature that is not there": (
        say(features=STATE),
        ["lack observation.images.top, action; they have observation.state"],
    ),
    "rows that are missing": (remove_row, ["holds 8 of the 9 steps", "fetch it once more"]),
    "a video that is missing": (
        lambda folder: shutil.rmtree(folder / "videos"),
        ["file-000.mp4 of episode 0 is missing", "with its videos"],
    ),
    "a video that is none": (rewrite(f"videos/{CAMERA}/chunk-000/file-000.mp4", "none"), ["cannot be decoded"]),
    "episodes that do not name their video": (
        drop_column(f"videos/{CAMERA}/from_timestamp"),
        ["do not say which video shows observation.images.top of episode 0"],
    ),
    "no episodes": (lambda folder: shutil.rmtree(folder / "meta/episodes"), ["do not say which video shows"]),
    "episodes that are no Parquet": (
        rewrite("meta/episodes/chunk-000/file-000.parquet", "none"),
        ["file-000.parquet cannot be read as Parquet"],
    ),
    "no frames per second": (say(fps=None), ["fps=None; videos need frames per second"]),
    "a path of no video": (say(video_path="{video}.mp4"), ["video_path='{video}.mp4', which names no file"]),
    "no path": (say(video_path=None), ["episode 0 is missing"]),
    "a video that ends before its rows": (
        lambda folder: write_video(folder / f"videos/{CAMERA}/chunk-000/file-000.mp4", np.arange(6)),
        ["has no frame at 0.600 s (3 of 9 are missing)", "does not belong to these rows"],
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes_are_named(what, tmp_path):
    folder = write_folder(tmp_path / "demos", "v3.0")
    change, words = MISTAKES[what]
    change(folder)
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        read_episodes(str(folder), KEYS["top"])
    assert all(word in str(caught.value) for word in words), caught.value


def test_sizes_that_are_not_those_that_meta_says(tmp_path):
    folder = write_folder(tmp_path / "demos", "v3.0")
    info = json.loads((folder / "meta/info.json").read_text())
    info["features"]["observation.state"]["shape"] = [7]
    (folder / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(ValueError, match=r"rows of shape \(3,\); expected \(7,\), as meta/info.json says"):
        read_episodes(str(folder), "observation.state")


def test_an_episode_whose_video_is_missing_in_version_2(tmp_path):
    folder = write_folder(tmp_path / "demos", "v2.1")
    (folder / f"videos/chunk-000/{CAMERA}/episode_000001.mp4").unlink()
    with pytest.raises(ValueError, match=r"episode_000001.mp4 of episode 1 is missing"):
        read_episodes(str(folder), CAMERA)
