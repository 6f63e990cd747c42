"""Many worlds at once, each as if it were alone."""

import gymnasium as gym
import numpy as np
import pytest

from envs import PUSHT_ID
from envs.action_chunking import ActionChunking
from envs.pusht import PushT
from envs.rollout import Episode, replay, rollout
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


def test_replay_gives_the_same_episode():
    (episode,) = rollout(to_the_middle, [7])
    poses = [env.block_pose() for env in replay(episode)]
    assert len(poses) == len(episode.actions) + 1
    *_, env = replay(episode)
    assert env._info()["coverage"] == episode.coverages[-1]


@pytest.mark.parametrize("parallel", [True, False])
def test_vector_environments(parallel):
    worlds = World(PUSHT_ID, {"observation": "keypoints"}).vector(2, 2, 4, parallel=parallel)
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


def test_chunks_stop_where_the_episode_does():
    env = ActionChunking(gym.make(PUSHT_ID, max_episode_steps=6), 4, 2, kept=["coverage"])
    env.reset(seed=0)
    chunk = np.full((4, 2), 20.0)
    *_, truncated, info = env.step(chunk)
    assert not truncated
    assert np.isfinite(info["steps"]["coverage"]).all()
    *_, truncated, info = env.step(chunk)
    assert truncated
    assert np.isfinite(info["steps"]["coverage"]).tolist() == [True, True, False, False]
    _, reward, *_, info = env.step(chunk)  # an ended episode stands still
    assert reward == 0
    assert np.isnan(info["steps"]["coverage"]).all()


def test_coverage_of_exactly_the_threshold_is_no_success():
    assert not Episode(0, np.zeros((1, 2)), np.array([0.95])).success
