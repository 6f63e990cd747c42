"""The world against the benchmark's own, against recorded demonstrations, and against gymnasium's contract."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from datamodules import sources
from envs import PUSHT_ID, tee
from envs.pusht import PushT, legacy_state


@pytest.fixture(scope="module")
def benchmark():
    pytest.importorskip("gym_pusht")
    env = gym.make("gym_pusht/PushT-v0", obs_type="environment_state_agent_pos").unwrapped
    yield env
    env.close()


def random_actions(rng, n):
    """Targets that change every ten steps: the pointer crosses the block often."""
    return np.repeat(rng.uniform(0, 512, (n // 10, 2)), 10, axis=0)


def assert_same_world(ours, theirs, state, actions):
    observation, _ = ours.reset(options={"reset_to_state": state, "benchmark_order": True})
    peer, _ = theirs.reset(options={"reset_to_state": state})
    for action in [None, *actions]:
        if action is not None:
            observation, reward, terminated, _, info = ours.step(action)
            peer, peer_reward, peer_terminated, _, peer_info = theirs.step(action)
            assert reward == pytest.approx(peer_reward, abs=1e-9)
            assert info["coverage"] == pytest.approx(peer_info["coverage"], abs=1e-9)
            assert terminated == peer_terminated
            angle = peer_info["block_pose"] % (2 * np.pi)
            np.testing.assert_allclose(info["block_pose"][:2], peer_info["block_pose"][:2], atol=1e-9)
            assert info["block_pose"][2] == pytest.approx(angle[2], abs=1e-9)
        np.testing.assert_allclose(observation[:2], peer["agent_pos"], atol=1e-9)
        # The same corners; the physics library lists them in an order of its own.
        assert_same_points(observation[2:].reshape(8, 2), peer["environment_state"].reshape(8, 2))


def assert_same_points(a, b):
    distances = np.linalg.norm(a[:, None] - b[None], axis=-1)
    assert distances.min(0).max() < 1e-9
    assert distances.min(1).max() < 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_same_physics_as_the_benchmark_under_random_actions(benchmark, seed):
    rng = np.random.default_rng(seed)
    state = np.array([*rng.uniform(50, 450, 2), *rng.uniform(100, 400, 2), rng.uniform(-np.pi, np.pi)])
    assert_same_world(PushT("keypoints"), benchmark, state, random_actions(rng, 300))


def test_same_physics_as_the_benchmark_under_demonstrations(benchmark, human_data):
    rows = sources.load(human_data).with_format("numpy")[:]
    env = PushT("keypoints")
    for episode in (0, 57, 205):
        steps = rows["episode_index"] == episode
        state = np.concatenate([rows["observation.state"][steps][0], rows["block_pose"][steps][0]])
        assert_same_world(env, benchmark, state, rows["action"][steps])


def test_seeded_resets_equal_the_benchmarks(benchmark):
    env = PushT("keypoints")
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        peer, _ = benchmark.reset(seed=seed)
        np.testing.assert_allclose(observation[:2], peer["agent_pos"], atol=1e-9)
        assert_same_points(observation[2:].reshape(8, 2), peer["environment_state"].reshape(8, 2))


def test_recorded_pointer_positions_replay(human_data):
    rows = sources.load(human_data).with_format("numpy")[:]
    env = PushT("state")
    worst = 0.0
    for episode in range(206):
        steps = rows["episode_index"] == episode
        recorded, poses, actions = rows["observation.state"][steps], rows["block_pose"][steps], rows["action"][steps]
        env.reset(options={"reset_to_state": [*recorded[0], *poses[0]]})
        for action, following in zip(actions[:-1], recorded[1:], strict=True):
            observation, *_ = env.step(action)
            worst = max(worst, np.abs(observation[:2] - following).max())
    assert worst < 1e-4


def test_pictures_equal_the_recorded_ones(human_data):
    rows = sources.load(human_data.rstrip("/") + "_image")
    states = sources.load(human_data).with_format("numpy")
    env = PushT("pixels")
    for index in range(0, len(rows), 1500):
        recorded = np.asarray(rows[index]["observation.image"], dtype=float)
        state = np.concatenate([states[index]["observation.state"], states[index]["block_pose"]])
        picture, _ = env.reset(options={"reset_to_state": state})
        assert np.abs(picture - recorded).mean() < 2


@pytest.mark.parametrize("observation", ["state", "keypoints", "pixels"])
@pytest.mark.filterwarnings("ignore:.*render.*")
def test_gymnasium_contract(observation):
    check_env(gym.make(PUSHT_ID, observation=observation, render_mode="rgb_array").unwrapped)


def test_reset_to_state_reads_back_exactly():
    state = np.array([101.25, 402.5, 222.125, 333.0625, 2.5])
    observation, _ = PushT("state").reset(options={"reset_to_state": state})
    np.testing.assert_array_equal(observation, state)


def test_legacy_resets_follow_the_papers_rule():
    random = np.random.RandomState(100_003)
    expected = [random.randint(50, 450), random.randint(50, 450), random.randint(100, 400), random.randint(100, 400)]
    np.testing.assert_array_equal(legacy_state(100_003)[:4], expected)
    first, _ = PushT("state", legacy_resets=True).reset(seed=100_003)
    again, _ = PushT("state").reset(options={"reset_to_state": legacy_state(100_003), "benchmark_order": True})
    np.testing.assert_array_equal(first, again)


def test_success_ends_the_episode():
    env = PushT("state")
    env.reset(options={"reset_to_state": [50, 50, *tee.TARGET_POSE]})
    _, reward, terminated, truncated, info = env.step(np.array([50, 50]))
    assert (reward, terminated, truncated, info["is_success"]) == (1.0, True, False, True)


def test_time_limit():
    env = gym.make(PUSHT_ID)
    env.reset(seed=0)
    for step in range(300):
        *_, terminated, truncated, _ = env.step(np.array([20.0, 20.0]))
        assert not terminated
        assert truncated == (step == 299)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: PushT("corners"), ["corners", "keypoints"]),
        (lambda: PushT(render_mode="human"), ["human", "rgb_array"]),
        (lambda: PushT().reset(options={"reset_to_state": [1, 2]}), ["5 finite numbers", "[1.0, 2.0]"]),
        (lambda: _reset().step(np.array([np.nan, 0])), ["finite", "nan"]),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  its words are checked below
        call()
    assert all(word in str(caught.value) for word in words)


def _reset():
    env = PushT()
    env.reset(seed=0)
    return env
