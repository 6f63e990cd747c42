"""Recordings: the rows of a file are what happens, and videos can be read back."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from datamodules import sources
from datamodules.pusht import read_keypoints
from envs import t_block, video
from envs.action_chunking import ActionChunking
from envs.episode import Episode
from envs.episode_statistics import summarize
from envs.pusht import PushT
from envs.recording import SCHEMA, EpisodeActions, record
from planning.beam_search import BeamSearch


def episode(seed, length, success):
    rng = np.random.default_rng(seed)
    coverages = np.full(length, 0.5)
    coverages[-1] = 0.97 if success else 0.5
    return Episode(seed, rng.uniform(100, 400, (length, 2)).astype(np.float32), coverages)


@pytest.fixture
def recorded(tmp_path):
    episodes = [EpisodeActions({"seed": e.seed}, e.actions) for e in (episode(1, 20, True), episode(2, 30, True))]
    path = tmp_path / "demos.parquet"
    rows = record(episodes, path, {"made_by": "a test"})
    assert rows == 50
    return path, episodes


def test_rows_are_what_happens_when_the_actions_are_taken(recorded):
    path, episodes = recorded
    rows = pq.read_table(path)
    assert rows.schema.names == SCHEMA.names
    columns = {name: np.array(rows[name].to_pylist()) for name in rows.column_names}
    row = 0
    for index, one in enumerate(episodes):
        env = PushT("state", legacy_resets=True)
        observation, _ = env.reset(**one.reset)
        for frame, action in enumerate(one.actions):
            np.testing.assert_allclose(columns["observation.state"][row], observation[:2], atol=1 / 64)
            np.testing.assert_allclose(columns["block_pose"][row], observation[2:], atol=1e-4)
            corners = t_block.corners(observation[2:]).ravel()
            np.testing.assert_allclose(columns["observation.environment_state"][row], corners, atol=1 / 64)
            np.testing.assert_array_equal(columns["action"][row], action)
            observation, reward, *_ = env.step(action)
            assert columns["next.reward"][row] == pytest.approx(reward, abs=1e-6)
            assert columns["episode_index"][row] == index
            assert columns["frame_index"][row] == frame
            assert columns["next.done"][row] == (frame == len(one.actions) - 1)
            row += 1
    assert json.loads(rows.schema.metadata[b"firstlight"]) == {"made_by": "a test"}


def test_a_recording_is_a_source(recorded):
    demos = read_keypoints(str(recorded[0]))
    assert demos.lengths.tolist() == [20, 30]


def test_same_columns_and_types_as_the_human_data(recorded, human_data):
    ours, human = sources.load(str(recorded[0])), sources.load(human_data)
    assert ours.column_names == human.column_names
    for name, feature in human.features.items():
        assert type(ours.features[name]).__name__ == type(feature).__name__, name


def test_contacts_are_counted_while_pushing():
    env = PushT("state", count_contacts=True)
    env.reset(options={"reset_to_state": [256, 100, 256, 256, 0]})
    *_, far = env.step([256, 100])
    for _ in range(8):
        *_, near = env.step([256, 260])
    assert far["n_contacts"] == 0
    assert near["n_contacts"] >= 1


def test_a_rendered_episode_can_be_written(tmp_path):
    env = PushT(render_mode="rgb_array", render_size=64)
    env.reset(seed=0)
    images = np.stack([env.render() for _ in range(3) if env.step([256, 256])])
    assert video.write(tmp_path / "episode.mp4", images).stat().st_size > 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: video.wall([], columns=1),
        lambda: video.wall([episode(0, 2, True)], columns=0),
        lambda: video.wall([episode(0, 2, True)], columns=-1),
        lambda: video.wall([episode(0, 2, True)], columns=1, size=0),
        lambda: video.wall([episode(0, 2, True)], columns=1, size=10**9),
        *(
            (lambda speed=speed: video.write("x.gif", np.zeros((1, 8, 8, 3), np.uint8), speed))
            for speed in (0, -1, 1e9)
        ),
        lambda: video.write("x.gif", np.zeros((1, 8, 8, 3), np.uint8), float("nan")),
        lambda: summarize([]),
        *((lambda steps=steps: ActionChunking(PushT(), steps, 2)) for steps in (0, -1, 10**9)),
        *((lambda steps=steps: ActionChunking(PushT(), 8, steps)) for steps in (0, -1, 10**9)),
        *(
            (lambda name=name, value=value: BeamSearch(**{name: value}))
            for name in vars(BeamSearch())
            for value in (-1, 10**9)
        ),
    ],
)
def test_numbers_at_their_edges_are_refused(call):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        call()


def test_videos_can_be_read_back(tmp_path):
    import imageio.v3 as iio

    wall = video.wall([episode(0, 6, True), episode(1, 4, False), episode(2, 5, False)], columns=2, size=64)
    assert wall.shape == (7, 128, 128, 3)
    for name in ("a.mp4", "a.gif"):
        path = video.write(tmp_path / name, wall)
        back = iio.imread(path)
        assert len(back) >= 7
        assert np.abs(back[0].astype(float) - wall[0]).mean() < 12
