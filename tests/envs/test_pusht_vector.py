"""Many worlds in one process against gymnasium's own vector environment of single ones."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from envs import PUSHT_ID, t_block
from envs.drawing import Colours, draw
from envs.pusht_vector import PushTVector
from tests.envs.test_pusht import hard_actions

NEARLY = [60.0, 60.0, 258.0, 256.0, np.pi / 4]  # covers 96 % of the target


def both(n, mode=AutoresetMode.NEXT_STEP, **options):
    """Ours, and gymnasium's own of as many single environments."""
    theirs = gym.make_vec(PUSHT_ID, n, "sync", vector_kwargs={"autoreset_mode": mode}, **options)
    return gym.make_vec(PUSHT_ID, n, "vector_entry_point", autoreset_mode=mode, **options), theirs


def assert_same(ours, theirs):
    """Arrays to 1e-9, of one type; what holds several by its entries."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for name in theirs:
            assert_same(ours[name], theirs[name])
    elif isinstance(theirs, tuple) or getattr(theirs, "dtype", None) == np.dtype(object):
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif theirs is None:
        assert ours is None
    else:
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours.astype(float), theirs.astype(float), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["random", "corners of the world", "at the block", "far outside"])
def test_whole_episodes_are_those_of_single_environments(kind):
    """Contacts, walls, jams; what follows the end of an episode, too."""
    ours, theirs = both(3, observation="keypoints", legacy_resets=True)
    rng = np.random.default_rng(0)
    assert_same(ours.reset(seed=7), theirs.reset(seed=7))
    moved = 0.0
    for step in range(310):
        if step % 7 == 0:
            actions = np.array([hard_actions(kind, env.unwrapped, rng) for env in theirs.envs])
        mine = ours.step(actions)
        assert_same(mine, theirs.step(actions))
        moved += np.ptp(mine[0][:, 2:].reshape(3, 8, 2), axis=1).min() > 0
    assert moved


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("observation", ["state", "keypoints", "pixels"])
def test_ended_episodes_begin_anew_as_gymnasium_says(mode, observation):
    ours, theirs = both(3, mode, observation=observation, max_episode_steps=5)
    rng, ended = np.random.default_rng(0), np.zeros(2)
    assert_same(ours.reset(seed=[3, 1, 2]), theirs.reset(seed=[3, 1, 2]))
    options = {"reset_to_state": NEARLY, "reset_mask": np.array([False, True, False])}  # one that ends in success
    assert_same(ours.reset(options=options), theirs.reset(options=dict(options)))
    for _ in range(16):
        actions = rng.uniform(0, 512, (3, 2)).astype(np.float32)
        mine = ours.step(actions)
        assert_same(mine, theirs.step(actions))
        assert mine[0] in ours.observation_space
        ended += mine[2].sum(), mine[3].sum()
    assert (ended > 0).all(), "no success, or no end"


def test_contacts_are_counted_where_asked_for():
    ours, theirs = both(2, AutoresetMode.SAME_STEP, count_contacts=True, max_episode_steps=12)
    ours.reset(seed=5), theirs.reset(seed=5)
    found = 0
    for _ in range(30):
        actions = np.array([env.unwrapped.block_pose()[:2] for env in theirs.envs])
        mine = ours.step(actions)[-1]
        assert_same(mine, theirs.step(actions)[-1])
        found += mine["n_contacts"].sum() if "n_contacts" in mine else 0
    assert found > 0


def test_without_autoreset_a_world_stands_still_until_it_is_named():
    ours, theirs = both(2, AutoresetMode.DISABLED, max_episode_steps=4)
    ours.reset(seed=[1, 2]), theirs.reset(seed=[1, 2])
    for _ in range(4):
        mine = ours.step(np.full((2, 2), 300.0))
        assert_same(mine, theirs.step(np.full((2, 2), 300.0)))
    still = ours.step(np.zeros((2, 2)))
    np.testing.assert_array_equal(still[0], mine[0])
    assert still[1].tolist() == [0, 0]
    assert still[3].tolist() == [True, True]
    options = {"reset_mask": np.array([True, False])}
    assert_same(ours.reset(seed=[9, None], options=options), theirs.reset(seed=[9, None], options=dict(options)))
    *_, truncated, _ = ours.step(np.zeros((2, 2)))
    assert truncated.tolist() == [False, True]


def test_it_is_what_gymnasium_makes():
    worlds = gym.make_vec(f"envs:{PUSHT_ID}", num_envs=3)
    assert isinstance(worlds, PushTVector)
    assert worlds.max_episode_steps == 300
    assert worlds.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert worlds.observation_space.shape == (3, 5)
    assert worlds.action_space.shape == (3, 2)
    assert worlds.render() is None
    worlds.close()


def test_images_of_all_worlds():
    ours, theirs = both(2, render_mode="rgb_array", render_size=32)
    ours.reset(seed=0), theirs.reset(seed=0)
    assert_same(ours.render(), theirs.render())


def started(**options):
    worlds = PushTVector(2, **options)
    worlds.reset(seed=0)
    return worlds


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: PushTVector(0), "num_envs=0"),
        (lambda: PushTVector(2, max_episode_steps=0), "max_episode_steps=0"),
        (lambda: PushTVector(2, autoreset_mode="never"), "autoreset_mode='never' is unknown; use one of NextStep"),
        (lambda: PushTVector(2, observation="corners"), "corners"),
        (lambda: PushTVector(2).reset(seed=[1]), "1 seeds for 2 worlds"),
        (lambda: PushTVector(2).reset(options={"reset_mask": np.zeros(2, bool)}), "2 booleans, at least one"),
        (lambda: PushTVector(2).reset(options={"reset_mask": [True, True]}), "reset_mask must be an array"),
        (lambda: PushTVector(2).reset(options={"start": 1}), "reset_to_state"),
        (lambda: started().step(np.zeros((3, 2))), r"of the shape \(2, 2\).*got float64 of the shape \(3, 2\)"),
        (lambda: started().step(np.array([[1, 2], [np.nan, 3]])), r"that of world 1 is \[nan, 3.0\]"),
        (lambda: started().step(np.array([["1", "2"]] * 2)), "numbers of the shape"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("call", [lambda worlds: worlds.step(np.zeros((2, 2))), lambda worlds: worlds.render()])
def test_nothing_works_before_reset(call):
    worlds = PushTVector(2, render_mode="rgb_array")
    with pytest.raises(ResetNeeded, match="call reset"):
        call(worlds)
    worlds.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ResetNeeded, match="call reset"):
        call(worlds)


def test_a_block_that_covers_its_target_ends_the_episode():
    worlds = PushTVector(2)
    worlds.reset(options={"reset_to_state": [50, 50, *t_block.TARGET_POSE]})
    _, rewards, terminated, truncated, info = worlds.step(np.full((2, 2), 50.0))
    assert rewards.tolist() == [1, 1]
    assert terminated.all()
    assert not truncated.any()
    assert info["is_success"].all()


def test_images_in_other_colours():
    """In observations and frames, of many worlds as of one."""
    colours = Colours(block=(200, 60, 60), background=(10, 20, 30))
    ours, theirs = both(2, observation="pixels", colours=colours, render_mode="rgb_array", render_size=64)
    seen, info = ours.reset(seed=3)
    assert_same(seen, theirs.reset(seed=3)[0])
    assert_same(ours.render(), theirs.render())
    pointers = np.stack([env.unwrapped.pointer_position() for env in theirs.envs])
    assert (seen == draw(pointers, info["block_pose"], 96, colours=colours)).all()
    assert (seen[:, 48, 2] == (10, 20, 30)).all()
