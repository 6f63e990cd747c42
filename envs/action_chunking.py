"""Receding horizon: an environment that is stepped by chunks of actions and shows its last observations."""

from collections import deque

import gymnasium as gym
import numpy as np

import limits
from envs.pusht import MAX_EPISODE_STEPS


class ActionChunking(gym.Wrapper):
    """`step(chunk)` carries out a whole chunk (n_action_steps, A) and stops early where the episode ends.

    Observations are the last `n_obs_steps` ones, stacked (n_obs_steps, ...); before the first step, the first one is
    repeated. The reward is the sum over the chunk. `info` gets `coverages` (n_action_steps,), NaN for the actions that
    were not carried out. Stepping an episode that has ended does nothing: a batch of environments can wait for the
    longest one.
    """

    def __init__(self, env: gym.Env, n_action_steps: int, n_obs_steps: int):
        limits.whole(1, MAX_EPISODE_STEPS, n_action_steps=n_action_steps, n_obs_steps=n_obs_steps)
        super().__init__(env)
        self.n_action_steps = n_action_steps
        self.action_space = gym.vector.utils.batch_space(env.action_space, n_action_steps)
        self.observation_space = gym.vector.utils.batch_space(env.observation_space, n_obs_steps)
        self._observations: deque = deque(maxlen=n_obs_steps)

    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        self._observations.extend([observation] * self._observations.maxlen)
        self._ended = False, False
        return self._stacked(), info

    def step(self, chunk):
        total, info = 0.0, {}
        coverages = np.full(self.n_action_steps, np.nan)
        for i, action in enumerate(chunk):
            if any(self._ended):
                break
            observation, reward, *self._ended, info = self.env.step(action)
            self._observations.append(observation)
            total += reward
            coverages[i] = info["coverage"]
        return self._stacked(), total, *self._ended, {**info, "coverages": coverages}

    def _stacked(self) -> np.ndarray:
        return np.stack(self._observations)
