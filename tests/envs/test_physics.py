"""The direct simulator against the environment: equal to the bit."""

import numpy as np
import pytest
import shapely

from envs import physics, t_block
from envs.physics import STATE_SIZE, Simulator, get_state, pointer_paths, set_state
from envs.pusht import PushT


def start(rng):
    return np.array([*rng.uniform(50, 450, 2), *rng.uniform(100, 400, 2), rng.uniform(-np.pi, np.pi)])


def environment_states(env, actions):
    states = []
    for action in actions:
        env.step(action)
        states.append(get_state(env))
    return np.array(states)


@pytest.fixture(scope="module")
def episodes():
    """Ten random episodes: start states (10, 10), actions (10, 100, 2), the environment's states (10, 100, 10)."""
    env, starts, actions, states = PushT("state"), [], [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        env.reset(options={"reset_to_state": start(rng)})
        starts.append(get_state(env))
        actions.append(np.repeat(rng.uniform(0, 512, (10, 2)), 10, axis=0))
        states.append(environment_states(env, actions[-1]))
    states = np.array(states)
    assert (np.abs(states[:, -1, 4:6] - np.array(starts)[:, 4:6]).max(1) > 5).sum() > 5, "too few blocks were pushed"
    return np.array(starts), np.array(actions), states


def test_every_bit_is_the_environments(episodes, monkeypatch):
    monkeypatch.setattr(physics, "SLACK", np.inf)  # nothing is skipped
    starts, actions, states = episodes
    np.testing.assert_array_equal(Simulator().rollouts(starts, actions), states)


def test_the_same_states_after_resets_of_the_benchmark_and_hard_pushes(monkeypatch):
    # Contacts with both parts of the block at once. Those resets leave a pose that cannot be set again to the last bit.
    monkeypatch.setattr(physics, "SLACK", np.inf)
    rng, env, simulator = np.random.default_rng(0), PushT("state", legacy_resets=True), Simulator()
    for seed in range(5):
        state, _ = env.reset(seed=seed)
        beginning, actions, after = get_state(env), [], []
        for step in range(100):
            if step % 10 == 0:
                action = state[2:4] + rng.uniform(-60, 60, 2)
            state, *_ = env.step(action)
            actions.append(action)
            after.append(get_state(env))
        direct = simulator.rollouts(beginning[None], np.array([actions]))[0]
        np.testing.assert_allclose(direct, after, rtol=0, atol=1e-9)


def test_skipping_changes_no_bit_unless_the_pointer_touches_both_parts_at_once(episodes):
    # Which of two simultaneous contacts the solver takes first depends on how the pointer came: bits, then chaos.
    starts, actions, states = episodes
    equal = (Simulator().rollouts(starts, actions) == states).all((1, 2))
    assert equal.sum() >= 8


def test_physics_is_skipped_while_nothing_can_move(monkeypatch):
    steps = []
    monkeypatch.setattr(physics, "lib", _Counting(physics.lib, steps))
    state = np.array([50, 50, 0, 0, 256, 256, 0, 0, 0, 0.0])
    actions = np.array([[[100, 50]] * 20 + [[256, 300]] * 20])
    after = Simulator().rollouts(state[None], actions)
    assert not (after[0, -1, 4:7] == state[4:7]).all()
    assert len(steps) < 25 * physics.PHYSICS_STEPS


class _Counting:
    """The physics library, with its steps counted."""

    def __init__(self, lib, steps):
        self.lib, self.steps = lib, steps

    def __getattr__(self, name):
        if name != "cpSpaceStep":
            return getattr(self.lib, name)
        return lambda *arguments: (self.steps.append(1), self.lib.cpSpaceStep(*arguments))


def test_a_state_is_restored_exactly_after_any_other_rollout(episodes):
    starts, actions, states = episodes
    simulator = Simulator()
    first = simulator.rollouts(starts[:3], actions[:3])
    simulator.rollouts(starts[3:], actions[3:])
    np.testing.assert_array_equal(simulator.rollouts(starts[:3], actions[:3]), first)
    # From a state in the middle: exact but for the impulses that a contact leaves behind. Block at rest: all of it.
    resting = [
        (i, k)
        for i in range(10)
        for k in range(10, 90, 10)
        if (states[i, k - 1, 7:] == 0).all() and (states[i, k - 2, 4:7] == states[i, k - 1, 4:7]).all()
    ]
    assert len(resting) > 5
    worst = []
    for i, k in resting:
        after = simulator.rollouts(states[i, k - 1][None], actions[i][None, k : k + 10])[0]
        worst.append(np.abs(after - states[i, k : k + 10]).max())
    assert np.median(worst) < 1e-9


def test_set_state_is_the_inverse_of_get_state():
    env = PushT("state")
    env.reset(seed=3)
    for _ in range(12):
        env.step(env.block_pose()[:2])
    state, copy = get_state(env), PushT("state")
    assert np.abs(state[7:]).min() > 0
    set_state(copy, state)
    np.testing.assert_allclose(get_state(copy), state, rtol=0, atol=1e-9)


def test_lengths_end_a_rollout():
    state = np.array([50, 50, 0, 0, 256, 256, 0, 0, 0, 0.0])
    actions = np.full((2, 6, 2), 200.0)
    after = Simulator().rollouts(np.stack([state] * 2), actions, np.array([2, 6]))
    assert after.shape == (2, 6, STATE_SIZE)
    assert np.isnan(after[0, 2:]).all()
    np.testing.assert_array_equal(after[0, :2], after[1, :2])


def test_frames_and_distances():
    rng = np.random.default_rng(0)
    poses, points = rng.uniform(-3, 3, (50, 3)), rng.uniform(-150, 200, (50, 4, 2))
    world = physics.to_world(points, poses)
    np.testing.assert_allclose(physics.to_block(world, poses), points, atol=1e-9)
    np.testing.assert_allclose(
        physics.to_world(np.broadcast_to(t_block.CORNERS, (50, 8, 2)), poses), t_block.corners(poses)
    )
    block = shapely.Polygon(t_block.CORNERS[t_block.OUTLINE])
    expected = shapely.distance(block, shapely.points(points))
    np.testing.assert_allclose(physics.distance_to_block(points), expected, atol=1e-9)


def test_the_pointers_path_approaches_its_target():
    positions, _ = pointer_paths(np.array([[0, 0, 0, 0.0]]), np.full((1, 20, 2), 100.0))
    # Critically damped in the limit of small steps: 1 - (1 + w t) exp(-w t) of the way, w = 10 per second.
    t = 0.01 * np.arange(1, 201)
    np.testing.assert_allclose(positions[0].reshape(-1, 2)[:, 0], 100 * (1 - (1 + 10 * t) * np.exp(-10 * t)), atol=4)
