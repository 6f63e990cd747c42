"""Folders of LeRobot's format 3.0: what its own reader needs is there, and `lerobot` opens them."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from datamodules.episodes import read_episodes
from envs.lerobot_dataset import write_dataset
from envs.recording import EpisodeActions, record

LEROBOT = "lerobot==0.4.4"  # format 3.0, and Python 3.11 is enough
# Its reader of data sets needs these; torch and what else it takes are this environment's own.
NEEDS = ["draccus", "einops", "jsonlines", "termcolor", "deepdiff", "orderly-set", "mergedeep", "pyyaml-include"]
NEEDS += ["toml", "typing-inspect", "mypy-extensions", "accelerate", "datasets<4.2", "huggingface-hub<1"]
OPEN = """
import json, sys
from lerobot.datasets.lerobot_dataset import LeRobotDataset
data = LeRobotDataset("someone/demos", root=sys.argv[1])
last = data[len(data) - 1]
print(json.dumps({
    "episodes": data.num_episodes, "frames": data.num_frames, "fps": data.fps, "task": last["task"],
    "action": last["action"].tolist(), "state": last["observation.state"].tolist(),
    "mean": data.meta.stats["action"]["mean"].tolist(), "ends": list(data.meta.episodes["dataset_to_index"]),
    "first": data[0]["timestamp"].item(), "shapes": {k: list(v) for k, v in data.meta.shapes.items()},
}))
"""


def written(folder: Path) -> list[dict]:
    rng = np.random.default_rng(0)
    episodes = [
        {
            "observation.state": rng.normal(size=(length, 3)).astype(np.float32),
            "action": rng.normal(size=(length, 2)).astype(np.float32),
            "next.reward": rng.normal(size=length).astype(np.float32),
            "next.done": np.arange(length) == length - 1,
        }
        for length in (4, 6)
    ]
    assert write_dataset(folder, episodes, 20, "Do it.", "arm", {"made_by": "a test"}) == 10
    return episodes


def test_what_is_written_is_read(tmp_path):
    episodes = written(tmp_path / "demos")
    read = read_episodes(str(tmp_path / "demos"), ["observation.state", "next.reward"])
    assert read.lengths.tolist() == [4, 6]
    np.testing.assert_array_equal(read.actions, np.concatenate([one["action"] for one in episodes]))
    np.testing.assert_array_equal(
        read.observations[:, :3], np.concatenate([one["observation.state"] for one in episodes])
    )


def test_the_schema_is_that_of_version_3(tmp_path):
    """As its own reader asks for it: datasets/utils.py and datasets/dataset_metadata.py of `lerobot`."""
    folder, episodes = tmp_path / "demos", written(tmp_path / "demos")
    info = json.loads((folder / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["fps"], info["total_episodes"], info["total_frames"], info["total_tasks"]) == (20, 2, 10, 1)
    assert info["splits"] == {"train": "0:2"}
    assert info["features"]["action"] == {"dtype": "float32", "shape": [2], "names": None}
    assert info["features"]["next.done"] == {"dtype": "bool", "shape": [1], "names": None}
    defaults = {
        "timestamp": "float32",
        **dict.fromkeys(["frame_index", "episode_index", "index", "task_index"], "int64"),
    }
    assert {name: info["features"][name]["dtype"] for name in defaults} == defaults
    data = pq.read_table(folder / info["data_path"].format(chunk_index=0, file_index=0))
    assert data.column_names == list(info["features"])
    assert data["index"].to_pylist() == list(range(10))
    assert data["timestamp"].to_pylist() == pytest.approx([*np.arange(4) / 20, *np.arange(6) / 20])
    rows = pq.read_table(folder / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    asked = ["episode_index", "tasks", "length", "dataset_from_index", "dataset_to_index"]
    asked += [f"{part}/{kind}_index" for part in ("data", "meta/episodes") for kind in ("chunk", "file")]
    assert set(asked) <= rows[0].keys()
    assert [(row["dataset_from_index"], row["dataset_to_index"]) for row in rows] == [(0, 4), (4, 10)]
    assert rows[1]["tasks"] == ["Do it."]
    tasks = pq.read_table(folder / "meta/tasks.parquet").to_pandas()
    assert tasks.index.tolist() == ["Do it."]
    assert tasks.loc["Do it."].task_index == 0
    actions = np.concatenate([one["action"] for one in episodes]).astype(np.float64)
    stats = json.loads((folder / "meta/stats.json").read_text())
    for name, found in {"mean": actions.mean(0), "std": actions.std(0), "min": actions.min(0)}.items():
        np.testing.assert_allclose(stats["action"][name], found, rtol=1e-6)
    assert stats["action"]["count"] == [10]
    np.testing.assert_allclose(rows[0]["stats/action/max"], actions[:4].max(0))


def test_a_folder_that_was_recorded_is_replaced_and_no_other(tmp_path):
    written(tmp_path / "demos")
    written(tmp_path / "demos")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demos"]
    (tmp_path / "empty").mkdir()
    written(tmp_path / "empty")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="other is there already and was not recorded here"):
        written(other)
    assert (other / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("episodes", "words"),
    [
        ([], "no episode to write"),
        ([{"action": np.zeros((0, 2))}], "one row for every step"),
        ([{"action": np.zeros((3, 2)), "done": np.zeros(2)}], "one row for every step"),
        ([{"action": np.zeros((3, 2))}, {"acton": np.zeros((3, 2))}], "episode 1 has acton"),
        ([{"action": np.zeros((3, 2))}, {"action": np.zeros((3, 1))}], r"rows of the shapes \[\(1,\), \(2,\)\]"),
        ([{"action": np.zeros((3, 2, 2))}], r"rows of the shapes \[\(2, 2\)\]"),
    ],
)
def test_episodes_that_do_not_agree_are_named(episodes, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        write_dataset(tmp_path / "demos", episodes, 10, "none", "none", {})
    assert not (tmp_path / "demos").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX environments")
def test_lerobot_opens_what_is_recorded(tmp_path):
    record([EpisodeActions({"seed": seed}, np.full((5, 2), 200.0, np.float32)) for seed in (1, 2)], tmp_path / "d", {})
    venv.create(tmp_path / "peer", with_pip=True)
    python = tmp_path / "peer/bin/python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", LEROBOT, *NEEDS], check=True)
    (peer,) = (tmp_path / "peer").glob("lib/python*/site-packages")
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (peer / "after.pth").write_text("\n".join(ours))  # after its own packages
    done = subprocess.run(
        [python, "-W", "ignore", "-c", OPEN, str(tmp_path / "d")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    read = read_episodes(str(tmp_path / "d"), "observation.state")
    assert (found["episodes"], found["frames"], found["fps"], found["ends"]) == (2, 10, 10, [5, 10])
    assert found["task"] == "Push the T-shaped block onto the T-shaped target."
    assert found["action"] == read.actions[-1].tolist()
    assert found["state"] == read.observations[-1].tolist()
    assert found["mean"] == [200.0, 200.0]
    assert found["first"] == 0
    assert found["shapes"]["observation.environment_state"] == [16]
