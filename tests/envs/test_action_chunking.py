"""Action chunks in one world, and in those of a vector environment as in each of them alone."""

import gymnasium as gym
import numpy as np
import pytest

from envs import PUSHT_ID
from envs.action_chunking import ActionChunking, VectorActionChunking
from envs.pusht_vector import PushTVector


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


def chunked(n, **options):
    worlds = PushTVector(n, autoreset_mode="Disabled", max_episode_steps=10, **options)
    return VectorActionChunking(worlds, 4, 3, kept=["coverage"])


def test_each_world_is_as_if_it_were_alone():
    """Up to its end in the middle of a chunk, and after it."""
    starts = [[60, 60, 258, 256, np.pi / 4], [60, 60, 200, 300, 1.0]]  # the first one is solved at once
    alone = [ActionChunking(gym.make(PUSHT_ID, max_episode_steps=10), 4, 3, kept=["coverage"]) for _ in starts]
    for start in starts:
        together, rng = chunked(2), np.random.default_rng(0)
        options = {"options": {"reset_to_state": start}}
        seen, _ = together.reset(**options)
        for one, env in zip(seen, alone, strict=True):
            np.testing.assert_array_equal(one, env.reset(**options)[0])
        for _ in range(4):
            chunks = rng.uniform(0, 512, (2, 4, 2))
            seen, totals, terminated, truncated, info = together.step(chunks)
            assert seen in together.observation_space
            for i, env in enumerate(alone):
                theirs = env.step(chunks[i])
                np.testing.assert_array_equal(seen[i], theirs[0])
                assert totals[i] == theirs[1]
                assert (terminated[i], truncated[i]) == theirs[2:4]
                for name in ("reward", "coverage"):
                    np.testing.assert_array_equal(info["steps"][name][i], theirs[4]["steps"][name])
        assert (terminated | truncated).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: VectorActionChunking(PushTVector(1), 4, 2), "need autoreset_mode='Disabled'"),
        (lambda: VectorActionChunking(PushTVector(1, autoreset_mode="Disabled"), 0, 2), "n_action_steps=0"),
        (lambda: VectorActionChunking(PushTVector(1, autoreset_mode="Disabled"), 1, 0), "n_obs_steps=0"),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_info_that_lacks_the_key_is_named():
    worlds = VectorActionChunking(PushTVector(1, autoreset_mode="Disabled"), 1, 1, kept=["won"])
    worlds.reset(seed=0)
    with pytest.raises(ValueError, match="info has no 'won'; it has coverage"):
        worlds.step(np.zeros((1, 1, 2)))
