"""Many worlds at once, each as if it were alone."""

import gymnasium as gym
import numpy as np
import pytest

from envs import PUSHT_ID
from envs.pusht import PushT
from envs.pusht_world import PushTWorld
from envs.rollout import rollout
from envs.world import World


def to_the_middle(observations, indices=None):
    """A policy without a policy: drive the pointer towards the block's centre, (N, O, 18) -> (N, 8, 2)."""
    centre = observations[:, -1, 2:].reshape(-1, 8, 2).mean(1)
    return np.repeat(centre[:, None], 8, 1)


def one_by_one(seed, steps=300):
    """The same, in a plain loop over a plain environment."""
    env = PushT("keypoints", legacy_resets=True)
    observation, _ = env.reset(seed=seed)
    coverages = []
    while len(coverages) < steps:
        for action in to_the_middle(observation[None, None])[0].astype(np.float32):
            observation, _, terminated, _, info = env.step(action)
            coverages.append(info["coverage"])
            if terminated or len(coverages) == steps:
                return np.array(coverages)
    return np.array(coverages)


def test_many_worlds_at_once_equal_one_by_one():
    seeds = [3, 100_000, 100_001]
    heard = []
    episodes = rollout(to_the_middle, seeds, parallel_worlds=2, on_progress=heard.append)
    assert [episode.seed for episode in episodes] == seeds
    assert sum(heard) == 3
    for episode in episodes:
        np.testing.assert_array_equal(episode.coverages, one_by_one(episode.seed))
        assert len(episode.actions) == len(episode.coverages)


def test_worlds_in_one_process_give_the_episodes_of_one_process_each():
    options, seeds = {"observation": "keypoints", "legacy_resets": True, "max_episode_steps": 60}, [5, 100_000, 100_001]
    ours, theirs = (
        world(PUSHT_ID, options, kept=("coverage",)).rollout(to_the_middle, seeds, 2, 8, 2)
        for world in (PushTWorld, World)
    )
    for one, other in zip(ours, theirs, strict=True):
        assert one.seed == other.seed
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_array_equal(one.rewards, other.rewards)
        np.testing.assert_array_equal(one.kept["coverage"], other.kept["coverage"])


def test_act_hears_which_episodes_go_on():
    """Each of them, and no other, until its end; spare worlds of a short wave are not shown."""
    seeds, heard = [3, 100_000, 100_001], []

    def act(observations, indices):
        assert len(observations) == len(indices)
        heard.append(list(indices))
        return to_the_middle(observations)

    episodes = rollout(act, seeds, parallel_worlds=2)
    for i, episode in enumerate(episodes):
        assert sum(i in indices for indices in heard) == -(-len(episode.actions) // 8)
    assert all(set(indices) <= {0, 1} or indices == [2] for indices in heard)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": [-5]}, r"seeds=\[-5\]"),
        ({"seeds": [2**32]}, "must be whole numbers from 0 to 4294967295"),
        ({"parallel_worlds": 0}, "parallel_worlds=0"),
        ({"n_obs_steps": 0}, "n_obs_steps=0"),
        ({"n_action_steps": -1}, "n_action_steps=-1"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        rollout(to_the_middle, **{"seeds": [0]} | options)


@pytest.mark.parametrize("world", [World, PushTWorld])
def test_vector_environments(world):
    worlds = world(PUSHT_ID, {"observation": "keypoints"}).vector(2, 2, 4)
    observations, _ = worlds.reset(seed=[1, 2])
    assert observations.shape == (2, 2, 18)
    observations, rewards, *_ = worlds.step(np.full((2, 4, 2), 256, dtype=np.float32))
    assert observations.shape == (2, 2, 18)
    assert rewards.shape == (2,)
    worlds.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_plain_vector_environments(mode):
    worlds = gym.make_vec(PUSHT_ID, num_envs=2, vectorization_mode=mode, observation="pixels")
    observations, _ = worlds.reset(seed=0)
    assert observations.shape == (2, 96, 96, 3)
    worlds.step(worlds.action_space.sample())
    worlds.close()
