import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from datamodules import sources
from datamodules.demonstrations import read_demonstrations
from envs import record, t_block, video
from envs.action_chunking import ActionChunking
from envs.pusht import PushT
from envs.recording import SCHEMA, Take
from envs.recording import record as write
from envs.rollout import Episode
from metrics.episode_statistics import summarize
from planning import policy_runner as runner
from planning.beam_search import BeamSearch


def episode(seed, length, success):
    rng = np.random.default_rng(seed)
    coverages = np.full(length, 0.5)
    coverages[-1] = 0.97 if success else 0.5
    return Episode(seed, rng.uniform(100, 400, (length, 2)).astype(np.float32), coverages)


@pytest.fixture
def recorded(tmp_path):
    takes = [Take({"seed": e.seed}, e.actions) for e in (episode(1, 20, True), episode(2, 30, True))]
    path = tmp_path / "demos.parquet"
    rows = write(takes, path, {"made_by": "a test"})
    assert rows == 50
    return path, takes


def test_rows_are_what_happens_when_the_actions_are_taken(recorded):
    path, takes = recorded
    rows = pq.read_table(path)
    assert rows.schema.names == SCHEMA.names
    columns = {name: np.array(rows[name].to_pylist()) for name in rows.column_names}
    row = 0
    for index, take in enumerate(takes):
        env = PushT("state", legacy_resets=True)
        observation, _ = env.reset(**take.reset)
        for frame, action in enumerate(take.actions):
            np.testing.assert_allclose(columns["observation.state"][row], observation[:2], atol=1 / 64)
            np.testing.assert_allclose(columns["block_pose"][row], observation[2:], atol=1e-4)
            corners = t_block.corners(observation[2:]).ravel()
            np.testing.assert_allclose(columns["observation.environment_state"][row], corners, atol=1 / 64)
            np.testing.assert_array_equal(columns["action"][row], action)
            observation, reward, *_ = env.step(action)
            assert columns["next.reward"][row] == pytest.approx(reward, abs=1e-6)
            assert columns["episode_index"][row] == index
            assert columns["frame_index"][row] == frame
            assert columns["next.done"][row] == (frame == len(take.actions) - 1)
            row += 1
    assert json.loads(rows.schema.metadata[b"firstlight"]) == {"made_by": "a test"}


def test_a_recording_is_a_source(recorded):
    demos = read_demonstrations(str(recorded[0]))
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


def test_the_shortest_success_of_each_seed_is_kept():
    episodes = [episode(3, 30, True), episode(1, 20, True), episode(2, 10, False), episode(0, 40, True)]
    episodes += [episode(3, 15, False), episode(3, 18, True), episode(1, 60, True)]
    kept = record.best(episodes, 2)
    assert [(e.seed, len(e.actions)) for e in kept] == [(1, 20), (3, 18)]


def test_record_command(tmp_path, monkeypatch, capsys):
    module = type("Runner", (), {"run": staticmethod(lambda path, seeds: [episode(s, 20, s % 2 == 0) for s in seeds])})
    monkeypatch.setattr(runner, "import_module", lambda name: module)
    out = tmp_path / "demos.parquet"
    args = [
        "--checkpoint",
        "x.ckpt",
        "--out",
        str(out),
        "--seeds",
        "3",
        "--attempts",
        "2",
        "--keep",
        "1",
        "--runner",
        "m:run",
    ]
    record.main(args)
    assert "4 of 6 episodes succeeded" in capsys.readouterr().out
    provenance = json.loads(pq.read_schema(out).metadata[b"firstlight"])
    assert provenance["episodes_that_succeeded"] == 4
    assert provenance["episodes_kept"] == 1


def test_record_keeps_nothing_where_nothing_succeeds(tmp_path, monkeypatch):
    module = type("Runner", (), {"run": staticmethod(lambda path, seeds: [episode(s, 20, False) for s in seeds])})
    monkeypatch.setattr(runner, "import_module", lambda name: module)
    out = tmp_path / "demos.parquet"
    with pytest.raises(SystemExit, match="none of 3 episodes succeeded"):
        record.main(["--checkpoint", "x", "--out", str(out), "--seeds", "3", "--attempts", "1", "--runner", "m:run"])
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--first-seed", "-5"], "--first-seed: -5 is not a whole number from 0 to 4294967295"),
        (["--first-seed", str(2**32 - 100)], "350 seeds from 4294967196 on go past"),
        (["--attempts", "0"], "0 is not a whole number from 1"),
        (["--attempts", "1000000", "--seeds", "2"], "--seeds 2 with --attempts 1000000"),
        (["--seeds", "-1"], "-1 is not a whole number from 1"),
        (["--keep", "1e3"], "1e3 is not a whole number"),
    ],
)
def test_record_refuses_in_one_line(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        record.main(["--checkpoint", "nowhere.ckpt", "--out", "x.parquet", *arguments])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_rendered_episode_can_be_written(tmp_path):
    env = PushT(render_mode="rgb_array", render_size=64)
    env.reset(seed=0)
    pictures = np.stack([env.render() for _ in range(3) if env.step([256, 256])])
    assert video.write(tmp_path / "episode.mp4", pictures).stat().st_size > 0


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
