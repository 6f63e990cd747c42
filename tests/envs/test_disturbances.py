"""Disturbances against closed forms, a plain pymunk body, and the undisturbed world."""

import copy
from functools import partial

import gymnasium as gym
import numpy as np
import pymunk
import pytest
import shapely

from callbacks.rollouts import Rollouts
from envs import PUSHT_ID, t_block
from envs.disturbances import ActionDelay, BlockPush, KeypointNoise, PointerDamping, displaced
from envs.episode import episodes_of, replay
from envs.pusht import PushT
from envs.pusht_world import PushTWorld
from envs.world import World
from tests.envs.test_rollout import to_the_middle

ALL = (partial(BlockPush, within=20), KeypointNoise, ActionDelay, PointerDamping)


def world(*wrappers):
    env = PushT("keypoints", legacy_resets=True)
    for wrap in wrappers:
        env = wrap(env)
    return env


def plain_block(pose):
    """A body with the block's centre of gravity, as pymunk moves it."""
    body = pymunk.Body(1, 1)
    body.center_of_gravity = 0, 45
    body.angle = pose[2]
    body.position = tuple(pose[:2])
    return body


def outline(pose):
    return shapely.Polygon(t_block.corners(pose)[t_block.OUTLINE])


def test_a_push_turns_and_moves_the_block_as_pymunk_does():
    rng = np.random.default_rng(0)
    for _ in range(20):
        pose, shift, turn = rng.uniform(0, 500, 3), rng.uniform(-60, 60, 2), rng.uniform(-0.5, 0.5)
        body = plain_block(pose)
        body.angle += turn  # pymunk turns a body about its centre of gravity
        body.position += tuple(shift)
        np.testing.assert_allclose(
            displaced(pose, np.array([*shift, turn])), [*body.position, body.angle], rtol=0, atol=1e-9
        )


def test_the_block_is_pushed_once_at_a_random_moment():
    """While the pointer rests, so that nothing else moves it; never onto the pointer or a wall."""
    env, moments, lengths, turns = world(partial(BlockPush, within=10)), [], [], []
    rng, starts = np.random.default_rng(0), []
    while len(starts) < 80:
        still, pose = rng.uniform(20, 490, 2), np.array([*rng.uniform(180, 330, 2), rng.uniform(0, 6)])
        if outline(pose).distance(shapely.Point(still)) > 15:
            starts.append((still, pose))
    for seed, (still, pose) in enumerate(starts):
        env.reset(seed=seed, options={"reset_to_state": [*still, *pose]})
        pushed = []
        for step in range(30):
            *_, info = env.step(still)
            after = info["block_pose"]
            if not np.allclose(after, pose, rtol=0, atol=1e-6) and not pushed:
                pushed.append(step)
                before, now = plain_block(pose), plain_block(after)
                lengths.append((now.local_to_world((0, 45)) - before.local_to_world((0, 45))).length)
                turns.append((after[2] - pose[2] + np.pi) % (2 * np.pi) - np.pi)
                corners = t_block.corners(after)
                assert outline(after).distance(shapely.Point(still)) >= 15 - 1e-6
                assert corners.min() >= 7
                assert corners.max() <= 504
                assert info["pushed"]
            elif pushed:
                np.testing.assert_allclose(after, pose, rtol=0, atol=1e-6)
            else:
                assert not info["pushed"]
            pose = after
        moments += pushed
    assert len(moments) == len(starts)
    assert set(range(10)) <= set(moments)
    assert max(lengths) <= 60
    assert max(np.abs(turns)) <= 0.5
    assert np.mean(lengths) == pytest.approx(30, abs=6)
    assert np.std(turns) == pytest.approx(1 / np.sqrt(12), abs=0.06)


def test_copies_of_a_disturbed_world_go_on_as_it_does():
    env = world(partial(BlockPush, within=3), KeypointNoise)
    env.reset(seed=3)
    for _ in range(8):
        env.step(env.unwrapped.block_pose()[:2])
    twin = copy.deepcopy(env)
    np.testing.assert_array_equal(twin.unwrapped.block_pose(), env.unwrapped.block_pose())
    for _ in range(10):
        action = env.unwrapped.block_pose()[:2]
        np.testing.assert_array_equal(env.step(action)[0], twin.step(action)[0])
    env.unwrapped.move_block([300, 300, 1.0])
    twin = copy.deepcopy(env.unwrapped)
    np.testing.assert_array_equal(twin.block_pose(), [300, 300, 1.0])


def test_a_moved_block_is_seen_after_the_next_step():
    env = PushT("state")
    env.reset(options={"reset_to_state": [50, 50, 200, 200, 0.0]})
    env.move_block([300.0, 310.0, -1.0])
    observation, *_, info = env.step([50, 50])
    expected = [300.0, 310.0, 2 * np.pi - 1]
    np.testing.assert_allclose(observation[2:], expected, rtol=0, atol=1e-9)
    assert info["coverage"] == pytest.approx(float(t_block.coverage(np.array(expected))), abs=1e-9)


def test_noise_is_on_every_keypoint_and_in_nothing_else():
    noisy, plain, errors = world(KeypointNoise), world(), []
    seen, truth = noisy.reset(seed=7)[0], plain.reset(seed=7)[0]
    errors.append(seen - truth)
    for _ in range(200):
        action = plain.unwrapped.block_pose()[:2]
        seen, *facts = noisy.step(action)
        truth, *expected = plain.step(action)
        errors.append(seen - truth)
        assert facts[:3] == expected[:3]
        np.testing.assert_array_equal(facts[-1]["block_pose"], expected[-1]["block_pose"])
    errors = np.array(errors)  # (201, 18)
    assert errors.std() == pytest.approx(2, abs=0.1)
    assert errors.std(0) == pytest.approx(np.full(18, 2), abs=0.4)
    assert abs(errors.mean()) < 0.15
    assert abs(np.corrcoef(errors[1:].ravel(), errors[:-1].ravel())[0, 1]) < 0.06


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_delay_shifts_the_actions(steps):
    delayed, plain = world(partial(ActionDelay, steps=steps)), world()
    delayed.reset(seed=5), plain.reset(seed=5)
    actions = np.random.default_rng(0).uniform(100, 400, (30, 2))
    shifted = [*[plain.unwrapped.pointer_position()] * steps, *actions]
    for given, carried_out in zip(actions, shifted, strict=False):
        np.testing.assert_array_equal(delayed.step(given)[0], plain.step(carried_out)[0])


def test_heavier_damping_is_that_of_the_pointers_linear_recursion():
    env = world(partial(PointerDamping, factor=1.2))
    start, target, dt = np.array([60.0, 60.0]), np.array([160.0, 90.0]), 0.01
    env.reset(options={"reset_to_state": [*start, 350, 350, 0.0]})
    gain, damping = 100.0, 24.0
    one = np.array([[1 - dt * dt * gain, dt * (1 - dt * damping)], [-dt * gain, 1 - dt * damping]])
    for step in range(1, 12):
        observation, *_ = env.step(target)
        error, _ = np.linalg.matrix_power(one, 10 * step) @ np.stack([start - target, np.zeros(2)])
        np.testing.assert_allclose(observation[:2], target + error, rtol=0, atol=1e-9)
    assert world().unwrapped.derivative_gain == 20


class Short(gym.Wrapper):
    """Ends an episode after 10, 17 or 24 steps."""

    def reset(self, **options):
        self.left = 10 + 7 * (options["seed"] % 3)
        return self.env.reset(**options)

    def step(self, action):
        self.left -= 1
        observation, reward, terminated, _, info = self.env.step(action)
        return observation, reward, terminated, self.left == 0, info


def played(made, parallel_worlds, wrappers, seeds=(5, 100_000, 100_001), steps=40):
    options = {"observation": "keypoints", "legacy_resets": True, "max_episode_steps": steps}
    one = made(PUSHT_ID, options, kept=("coverage",), wrappers=wrappers)
    return one.rollout(to_the_middle, seeds, 2, 8, parallel_worlds)


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert one.seed == other.seed
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_array_equal(one.rewards, other.rewards)


def test_a_disturbed_episode_follows_from_its_seed():
    """In waves of any size, in one process or in one for each world; twice in a row."""
    together = played(PushTWorld, 3, ALL)
    assert_same(together, played(PushTWorld, 2, ALL))
    assert_same(together, played(World, 2, ALL))
    assert_same(played(PushTWorld, 3, (*ALL, Short)), played(PushTWorld, 1, (*ALL, Short)))
    assert [len(one.actions) for one in played(PushTWorld, 2, (*ALL, Short))] == [24, 17, 24]
    ours, undisturbed = together[0].actions, played(PushTWorld, 3, ())[0].actions
    assert not np.array_equal(ours, undisturbed)


def test_disturbances_of_nothing_leave_the_world_as_it_is():
    """Single environments in wrappers against many worlds stepped together."""
    nothing = partial(KeypointNoise, std=0.0), partial(ActionDelay, steps=0), partial(PointerDamping, factor=1.0)
    assert_same(played(PushTWorld, 3, nothing), played(PushTWorld, 3, ()))


def test_a_replay_shows_the_disturbed_episode():
    made = PushTWorld(wrappers=ALL)
    (trajectory,) = made.rollout(to_the_middle, [100_003], 2, 8)
    (episode,) = episodes_of([trajectory])
    coverages = [float(t_block.coverage(env.block_pose())) for env in replay(episode, wrappers=ALL)]
    np.testing.assert_allclose(coverages[1:], episode.coverages, rtol=0, atol=1e-12)
    undisturbed = [float(t_block.coverage(env.block_pose())) for env in replay(episode)]
    assert not np.allclose(undisturbed[1:], episode.coverages)
    images = np.array(list(made.replay(trajectory, 32)))
    assert images.shape == (len(episode.actions) + 1, 32, 32, 3)


@pytest.mark.parametrize(
    ("wrapper", "words"),
    [
        (partial(BlockPush, distance=-1.0), r"distance=-1.0 must be a number in \[0, 512\]"),
        (partial(BlockPush, angle=float("nan")), "angle=nan"),
        (partial(BlockPush, within=0), "within=0"),
        (partial(BlockPush, within=301), "within=301"),
        (partial(KeypointNoise, std=-2.0), "std=-2.0"),
        (partial(ActionDelay, steps=-1), "steps=-1"),
        (partial(PointerDamping, factor=float("inf")), "factor=inf"),
    ],
)
def test_mistakes_are_named_where_rollouts_are_made(wrapper, words):
    with pytest.raises(ValueError, match=words) as caught:
        Rollouts(wrappers=[wrapper])
    assert "\n" not in str(caught.value)


def test_another_world_or_observation_is_refused():
    with pytest.raises(ValueError, match="ActionDelay disturbs firstlight/PushT-v0; got"):
        World("Pendulum-v1", wrappers=(ActionDelay,))
    with pytest.raises(ValueError, match="needs the observation 'keypoints'; got 'pixels'"):
        PushTWorld(wrappers=(KeypointNoise,)).observed_as("pixels")
    with pytest.raises(ValueError, match=r"no farther than 240 .* got \[2000.0, 0.0, 0.0\]"):
        started().move_block([2000, 0, 0])
    with pytest.raises(ValueError, match=r"three finite numbers.* got \[nan, 0.0, 0.0\]"):
        started().move_block([np.nan, 0, 0])


def started():
    env = PushT()
    env.reset(seed=0)
    return env


def test_wrappers_are_named():
    assert PushTWorld(wrappers=ALL).wrapped_in == ["BlockPush", "KeypointNoise", "ActionDelay", "PointerDamping"]
    assert PushTWorld().wrapped_in == []
