"""The world against the benchmark's own, against recorded demonstrations, and against gymnasium's contract."""

import copy
import os
import pickle
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from datamodules import sources
from envs import PUSHT_ID, t_block
from envs.physics import get_state, set_state
from envs.pusht import PushT, legacy_state
from tests.runs import ROOT


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


def test_images_equal_the_recorded_ones(human_data):
    rows = sources.load(human_data.rstrip("/") + "_image")
    states = sources.load(human_data).with_format("numpy")
    env = PushT("pixels")
    for index in range(0, len(rows), 1500):
        recorded = np.asarray(rows[index]["observation.image"], dtype=float)
        state = np.concatenate([states[index]["observation.state"], states[index]["block_pose"]])
        image, _ = env.reset(options={"reset_to_state": state})
        assert np.abs(image - recorded).mean() < 2


@pytest.mark.parametrize("observation", ["state", "keypoints", "pixels"])
@pytest.mark.filterwarnings("ignore:.*render.*")
def test_gymnasium_contract(observation):
    check_env(gym.make(PUSHT_ID, observation=observation, render_mode="rgb_array").unwrapped)


def test_gymnasium_finds_the_world_by_its_module(tmp_path):
    code = "import gymnasium; print(gymnasium.make('envs:firstlight/PushT-v0').reset(seed=0)[0].shape)"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "(5,)", done.stderr


@pytest.mark.filterwarnings("ignore:.*human.*")
def test_a_window_shows_the_world(monkeypatch):
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gym.make(PUSHT_ID, render_mode="human", observation="keypoints")
    env.reset(seed=0)
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).transpose(1, 0, 2)
    np.testing.assert_array_equal(shown, env.env.render())
    env.close()


@pytest.mark.filterwarnings("ignore:.*human.*")
def test_a_missing_window_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    env = gym.make(PUSHT_ID, render_mode="human")
    with pytest.raises(gym.error.DependencyNotInstalled, match="pygame is not installed"):
        env.reset(seed=0)


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
    env.reset(options={"reset_to_state": [50, 50, *t_block.TARGET_POSE]})
    _, reward, terminated, truncated, info = env.step(np.array([50, 50]))
    assert (reward, terminated, truncated, info["is_success"]) == (1.0, True, False, True)


def test_time_limit():
    env = gym.make(PUSHT_ID)
    env.reset(seed=0)
    for step in range(300):
        *_, terminated, truncated, _ = env.step(np.array([20.0, 20.0]))
        assert not terminated
        assert truncated == (step == 299)


def hard_actions(kind, env, rng):
    """Actions that bring pointer and block to the edges of what can happen, and beyond the action space."""
    corners = t_block.corners(env.block_pose())
    return {
        "random": rng.uniform(0, 512, 2),
        "corners of the world": rng.choice([0.0, 512.0], 2),
        "at the block": corners[rng.integers(8)] + rng.normal(0, 60, 2),
        "far outside": rng.choice([-1.0, 1.0], 2) * 10.0 ** rng.uniform(0, 300, 2),
    }[kind]


@pytest.mark.parametrize("kind", ["random", "corners of the world", "at the block", "far outside"])
def test_the_spaces_contain_whatever_happens(kind):
    env, states = PushT("keypoints"), PushT("state").observation_space
    outside = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        observation, info = env.reset(seed=seed)
        for step in range(301):
            assert env.observation_space.contains(observation), observation
            state = np.array([*observation[:2], *info["block_pose"]])
            assert states.contains(state), state
            outside += ((state < 0) | (state > 512)).any()
            if step % int(rng.integers(1, 12)) == 0:
                action = hard_actions(kind, env, rng)
            observation, *_, info = env.step(action)
    assert outside > 0, "nothing went to the edge"


def test_actions_outside_are_cut_off_at_the_edge():
    inside, outside = PushT("state"), PushT("state")
    inside.reset(seed=3), outside.reset(seed=3)
    for action in ([700, -1], [-1e300, 512.001], [1e9, 10**15]):
        ours, *_ = outside.step(action)
        np.testing.assert_array_equal(ours, inside.step(np.clip(np.array(action, dtype=float), 0, 512))[0])


def pushed(env, seed, steps):
    """What an environment observes while the pointer pushes about in its block."""
    rng = np.random.default_rng(seed)
    return [env.step(env.unwrapped.block_pose()[:2] + rng.normal(0, 20, 2)) for _ in range(steps)]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["copy", "pickle"])
@pytest.mark.parametrize("make", [PushT, lambda **options: gym.make(PUSHT_ID, **options)], ids=["alone", "wrapped"])
def test_a_copy_goes_on_exactly_as_the_original(copied, make):
    for seed in range(4):
        env = make(observation="keypoints", legacy_resets=True, count_contacts=True)
        env.reset(seed=seed)
        *_, info = pushed(env, seed, 30)[-1]
        assert info["n_contacts"] > 0, "the solver remembers nothing that a copy could lack"
        twin, before = copied(env), get_state(env.unwrapped)
        theirs = pushed(twin, seed, 40)
        np.testing.assert_array_equal(get_state(env.unwrapped), before)  # a copy moves alone
        for mine, other in zip(pushed(env, seed, 40), theirs, strict=True):
            np.testing.assert_array_equal(mine[0], other[0])
            assert str(mine[1:]) == str(other[1:])
        np.testing.assert_array_equal(env.reset()[0], twin.reset()[0])  # their generators drew alike


def test_a_copy_of_an_episode_that_began_in_motion():
    env = PushT()
    set_state(env, [100, 100, 300, -50, 256, 200, 0.5, 40, 30, 2])
    np.testing.assert_array_equal(get_state(copy.deepcopy(env)), get_state(env))
    env.step([0, 0])
    np.testing.assert_array_equal(get_state(copy.deepcopy(env)), get_state(env))


def test_an_environment_that_was_not_reset_can_be_copied():
    np.testing.assert_array_equal(copy.deepcopy(PushT()).reset(seed=1)[0], PushT().reset(seed=1)[0])


@pytest.mark.parametrize(
    "call",
    [
        lambda env: env.step([1, 1]),
        lambda env: env.render(),
        lambda env: env.block_pose(),
        lambda env: env.pointer_position(),
    ],
)
def test_nothing_works_before_reset(call):
    with pytest.raises(ResetNeeded, match="call reset"):
        call(PushT(render_mode="rgb_array"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: PushT("corners"), ["corners", "keypoints"]),
        (lambda: PushT(render_mode="human"), ["human", "rgb_array"]),
        (lambda: PushT(render_size=0), ["render_size=0", "1"]),
        (lambda: PushT(render_size=-1), ["render_size=-1", "1"]),
        (lambda: PushT(render_size=10**9), ["render_size=1000000000", "4096"]),
        (lambda: PushT().reset(options={"reset_to_state": [1, 2]}), ["5 finite numbers", "[1.0, 2.0]"]),
        (lambda: PushT().reset(options={"reset_to_state": "abcde"}), ["5 finite numbers", "abcde"]),
        (lambda: PushT().reset(options={"reset_to_state": [513, 0, 256, 256, 0]}), ["0 to 512", "513"]),
        (lambda: PushT().reset(options={"reset_to_state": [0, 0, 256, 1e300, 0]}), ["240", "1e+300"]),
        (lambda: PushT().reset(options={"start": [0, 0, 256, 256, 0]}), ["reset_to_state", "start"]),
        (lambda: PushT(legacy_resets=True).reset(seed=2**32), ["seed=4294967296", "4294967295"]),
        (lambda: legacy_state(-1), ["seed=-1", "0"]),
        *(
            (lambda action=action: _reset().step(action), ["two finite numbers", words])
            for action, words in [
                (np.array([np.nan, 0]), "nan"),
                ([np.inf, 0], "inf"),
                ([1], "[1.0]"),
                ([1, 2, 3], "[1.0, 2.0, 3.0]"),
                ([[1, 2]], "[[1.0, 2.0]]"),
                ([1, [2]], "[1, [2]]"),
                (np.zeros(10**6), "shape (1000000,)"),
                (7, "7"),
                (None, "None"),
                ("12", "12"),
                (["1", "2"], "['1', '2']"),
                ([10**400, 0], "1000"),
                ({"x": 1}, "{'x': 1}"),
            ]
        ),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  its words are checked below
        call()
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 220


def _reset():
    env = PushT()
    env.reset(seed=0)
    return env
