import gymnasium as gym
import numpy as np
import pytest
from scipy import stats

from envs import PUSHT_ID
from envs.action_chunking import ActionChunking
from envs.pusht import PushT
from envs.rollout import Episode, make_worlds, replay, rollout
from metrics.episode_statistics import summarize


def to_the_middle(observations, numbers=None):
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

    def act(observations, numbers):
        assert len(observations) == len(numbers)
        heard.append(list(numbers))
        return to_the_middle(observations)

    episodes = rollout(act, seeds, parallel_worlds=2)
    for number, episode in enumerate(episodes):
        assert sum(number in numbers for numbers in heard) == -(-len(episode.actions) // 8)
    assert all(set(numbers) <= {0, 1} or numbers == [2] for numbers in heard)


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
    worlds = make_worlds(2, 2, 4, parallel=parallel, observation="keypoints")
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
    env = ActionChunking(gym.make(PUSHT_ID, max_episode_steps=6), n_action_steps=4, n_obs_steps=2)
    env.reset(seed=0)
    chunk = np.full((4, 2), 20.0)
    *_, truncated, info = env.step(chunk)
    assert not truncated
    assert np.isfinite(info["coverages"]).all()
    *_, truncated, info = env.step(chunk)
    assert truncated
    assert np.isfinite(info["coverages"]).tolist() == [True, True, False, False]
    _, reward, *_, info = env.step(chunk)  # an ended episode stands still
    assert reward == 0
    assert np.isnan(info["coverages"]).all()


def test_metrics_of_known_episodes():
    def episode(*coverages):
        return Episode(0, np.zeros((len(coverages), 2)), np.array(coverages))

    solved, half = episode(0.2, 0.96), episode(0.475, 0.1)
    assert (solved.score, solved.success, solved.final_coverage) == (1.0, True, 0.96)
    assert (half.score, half.success, half.final_coverage) == (0.5, False, 0.1)
    metrics = summarize([solved, half, half])
    assert metrics["score"].mean == pytest.approx(2 / 3)
    assert metrics["success_rate"].mean == pytest.approx(1 / 3)
    assert summarize([solved, episode(*[0.1] * 300)])["mean_steps"] == pytest.approx((151, 0, 300))  # cut to 0..300
    # Wilson's interval from its formula
    n, p, z = 3, 1 / 3, stats.norm.ppf(0.975)
    centre, half_width = (
        (p + z**2 / (2 * n)) / (1 + z**2 / n),
        z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n),
    )
    assert metrics["success_rate"][1:] == pytest.approx((centre - half_width, centre + half_width))
    interval = stats.t.interval(0.95, 2, loc=2 / 3, scale=stats.sem([1, 0.5, 0.5]))
    assert metrics["score"][1:] == pytest.approx((max(0, interval[0]), min(1, interval[1])))


def test_coverage_of_exactly_the_threshold_is_no_success():
    assert not Episode(0, np.zeros((1, 2)), np.array([0.95])).success
