import json
import threading
import urllib.error
import urllib.request

import numpy as np
import pyarrow.parquet as pq
import pytest

from datamodules import sources
from datamodules.pusht import read_demonstrations
from envs import play, record, runner, tee, video
from envs.pusht import PushT
from envs.recording import SCHEMA, Take
from envs.recording import record as write
from envs.rollout import Episode


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
            corners = tee.corners(observation[2:]).ravel()
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


@pytest.fixture
def page(tmp_path):
    out = tmp_path / "played.parquet"
    server = play.make_server(play.Game(out), 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def post(path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.server_port}{path}", json.dumps(body).encode(), method="POST"
        )
        return json.loads(urllib.request.urlopen(request, timeout=10).read())

    post.address = f"http://127.0.0.1:{server.server_port}/"
    post.out = out
    yield post
    server.shutdown()
    server.server_close()


def test_playing_and_keeping(page):
    assert b"<canvas" in urllib.request.urlopen(page.address, timeout=10).read()
    start = page("/reset")
    for _ in range(5):
        view = page("/step", [300.0, 310.0])
    assert view["steps"] == 5
    assert view["pointer"] != start["pointer"]
    assert len(view["block"]) == 8
    view = page("/keep")
    assert (view["kept"], view["steps"]) == (1, 0)
    demos = read_demonstrations(str(page.out))
    assert demos.lengths.tolist() == [5]
    assert demos.actions[0].tolist() == [300, 310]


@pytest.mark.parametrize("body", [None, [1], ["a", "b"], [float("nan"), 1]])
def test_a_bad_move_is_refused_and_the_game_goes_on(page, body):
    page("/reset")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        page("/step", body)
    assert page("/step", [10, 10])["steps"] == 1


def test_videos_can_be_read_back(tmp_path):
    import imageio.v3 as iio

    wall = video.wall([episode(0, 6, True), episode(1, 4, False), episode(2, 5, False)], columns=2, size=64)
    assert wall.shape == (7, 128, 128, 3)
    for name in ("a.mp4", "a.gif"):
        path = video.write(tmp_path / name, wall)
        back = iio.imread(path)
        assert len(back) >= 7
        assert np.abs(back[0].astype(float) - wall[0]).mean() < 12
