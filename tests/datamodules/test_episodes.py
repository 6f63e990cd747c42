import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from datamodules import sources
from datamodules.episodes import read_episodes
from datamodules.pusht import read_keypoints
from tests.datamodules.conftest import table


def test_several_sources_follow_one_another(tmp_path):
    paths = [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]
    for path, lengths in zip(paths, [(20,), (30, 25)], strict=True):
        pq.write_table(table(lengths), path)
    both, parts = read_keypoints(paths), [read_keypoints(path) for path in paths]
    assert both.lengths.tolist() == [20, 30, 25]  # both files begin with an episode 0
    assert torch.equal(both.actions, torch.cat([part.actions for part in parts]))
    assert torch.equal(both.observations[both.starts[1] : both.ends[1]], parts[1].observations[:30])
    with pytest.raises(ValueError, match="names no demonstrations"):
        read_keypoints([])


def in_order(path, lengths, first=0):
    """A file whose actions tell their step, with frames; returns its columns."""
    n = sum(lengths)
    steps = np.arange(n, dtype=np.float32)
    columns = {
        "action": np.stack([steps, steps], 1).tolist(),
        "episode_index": np.repeat(np.arange(len(lengths)) + first, lengths).tolist(),
        "frame_index": np.concatenate([np.arange(length) for length in lengths]).tolist(),
    }
    rows = table(lengths, **columns)
    pq.write_table(rows, path)
    return rows


def test_files_that_each_begin_with_episode_0_are_episodes_of_their_own(tmp_path):
    for name, lengths in (("part-10", (7,)), ("part-2", (5, 6)), ("more", (4,))):
        in_order(tmp_path / f"{name}.parquet", lengths)
    demos = read_keypoints(str(tmp_path))
    assert demos.lengths.tolist() == [4, 5, 6, 7]
    steps = [torch.arange(n) for n in (4, 11, 7)]
    assert torch.equal(demos.actions[:, 0], torch.cat(steps).float())


@pytest.mark.parametrize("way", ["shuffled", "interleaved", "backwards"])
def test_rows_in_any_order_are_the_same_episodes(way, tmp_path):
    rows = in_order(tmp_path / "demos.parquet", (20, 30, 25))
    expected = read_keypoints(str(tmp_path / "demos.parquet"))
    order = {
        "shuffled": np.random.default_rng(0).permutation(75),
        "interleaved": np.argsort(rows["frame_index"].to_numpy(), kind="stable"),
        "backwards": np.arange(75)[::-1],
    }[way]
    pq.write_table(rows.take(pa.array(order)), tmp_path / "demos.parquet")
    read = read_keypoints(str(tmp_path / "demos.parquet"))
    for name in ("observations", "actions", "starts", "ends"):
        assert torch.equal(getattr(read, name), getattr(expected, name)), name


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([0, 1, 3, 4], "episode 7 of .* has 4 rows with frame_index from 0 to 4; .* must count from 0, each once"),
        ([1, 2, 3, 4], "has 4 rows with frame_index from 1 to 4"),
        ([0, 1, 1, 2], "has 4 rows with frame_index from 0 to 2"),
        ([-1, 0, 1, 2], "has 4 rows with frame_index from -1 to 2"),
        ([0.0, 1.0, 2.0, 3.0], "column frame_index .* must hold whole numbers"),
        ([0, 1, None, 3], "column frame_index .* must hold whole numbers"),
    ],
)
def test_steps_that_are_missing_or_there_twice_are_named(frames, words, write_demonstrations):
    with pytest.raises(ValueError, match=words):
        read_keypoints(write_demonstrations(lengths=(4,), frame_index=frames, episode_index=[7] * 4))


def test_interleaved_episodes_without_frames_are_named(write_demonstrations):
    with pytest.raises(ValueError, match="are interleaved, and no column frame_index says"):
        read_keypoints(write_demonstrations(lengths=(4,), episode_index=[0, 1, 0, 1]))


def test_the_bundled_and_the_human_episodes_are_what_they_were(human_data):
    """Their rows lie in order: nothing moves."""
    for source, episodes, steps in (("bundled", 422, 32_362), (human_data, 206, 25_650)):
        demos = read_keypoints(source)
        assert (len(demos.starts), len(demos.actions)) == (episodes, steps)
    rows = sources.load(human_data).with_format("numpy")[:]
    np.testing.assert_array_equal(demos.actions, rows["action"])
    np.testing.assert_array_equal(demos.starts[1:], np.flatnonzero(np.diff(rows["episode_index"])) + 1)


def test_columns_by_key_side_by_side_or_alone(tmp_path):
    rows = in_order(tmp_path / "demos.parquet", (5, 4))
    source = str(tmp_path / "demos.parquet")
    state, corners = (torch.tensor(rows[f"observation.{name}"].to_pylist()) for name in ("state", "environment_state"))
    assert torch.equal(read_episodes(source, "observation.state").observations, state)
    both = read_episodes(source, ["observation.environment_state", "observation.state"])
    assert torch.equal(both.observations, torch.cat([corners, state], 1))
    named = read_episodes(source, {"pointer": "observation.state", "all": ["observation.state", "frame_index"]})
    assert torch.equal(named.observations["pointer"], state)
    frames = torch.tensor([*range(5), *range(4)])[:, None]
    assert torch.equal(named.observations["all"], torch.cat([state, frames], 1))
    assert torch.equal(read_episodes(source, "observation.state", ["action", "action"]).actions[:, 2:], both.actions)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), "lacks the column nothing"),
        (({"a": "nothing"},), "lacks the column nothing"),
        (([],), "name at least one column"),
        (({},), "name at least one column"),
        (("",), "name at least one column"),
        (("observation.state", []), "name at least one column"),
        (("words",), "column words of .* expected numbers"),
        (("ragged",), "column ragged of .* no rows of equally many numbers"),
        (("tables",), r"column tables of .* rows of shape \(2, 2\); expected \(n,\)"),
        ((["image", "observation.state"],), r"image, observation.state cannot be one vector, as image holds images"),
        (("observation.state", "image"), "action='image' names images"),
    ],
)
def test_columns_that_make_no_observation_are_named(arguments, words, tmp_path):
    columns = {
        "words": ["a", "b"],
        "ragged": [[1.0], [1.0, 2.0]],
        "tables": [[[1.0, 2.0], [3.0, 4.0]]] * 2,
        "image": [{"bytes": b"", "path": "a.png"}] * 2,
    }
    pq.write_table(table((2,), **columns), tmp_path / "demos.parquet")
    with pytest.raises(ValueError, match=words):
        read_episodes(str(tmp_path / "demos.parquet"), *arguments)


def test_files_of_different_sizes_are_named(tmp_path):
    pq.write_table(table((3,)), tmp_path / "a.parquet")
    pq.write_table(table((3,), action=[[1.0, 2.0, 3.0]] * 3), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"actions have the shape \(2,\) in one file and \(3,\) in another"):
        read_episodes(str(tmp_path), "observation.state")
