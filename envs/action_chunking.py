"""Action chunking (receding horizon): an environment stepped by action chunks that shows its last observations."""

from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np

import limits
from envs.pusht import MAX_EPISODE_STEPS


class ActionChunking(gym.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """`step(chunk)` carries out an action chunk (n_action_steps, A) and stops early where the episode ends.

    Observations are the last `n_obs_steps` ones, stacked (n_obs_steps, ...); before the first step, the first one is
    repeated. The reward is the sum over the action chunk. `info` gets `coverages` (n_action_steps,), NaN for the
    actions that were not carried out. Stepping an episode that has ended does nothing: a batch of environments can wait
    for the longest one.
    """

    def __init__(self, env: gym.Env[np.ndarray, np.ndarray], n_action_steps: int, n_obs_steps: int):
        limits.whole(1, MAX_EPISODE_STEPS, n_action_steps=n_action_steps, n_obs_steps=n_obs_steps)
        super().__init__(env)
        self.n_action_steps, self.n_obs_steps = n_action_steps, n_obs_steps
        self.action_space = gym.vector.utils.batch_space(env.action_space, n_action_steps)
        self.observation_space = gym.vector.utils.batch_space(env.observation_space, n_obs_steps)
        self._observations: deque[np.ndarray] = deque(maxlen=n_obs_steps)
        self._terminated = self._truncated = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; the observation (n_obs_steps, ...) is the first one, repeated."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._observations.extend([observation] * self.n_obs_steps)
        self._terminated = self._truncated = False
        return self._stacked(), info

    def step(self, chunk: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Carry out an action chunk (n_action_steps, A)."""
        total, info = 0.0, dict[str, Any]()
        coverages = np.full(self.n_action_steps, np.nan)
        for i, action in enumerate(chunk):
            if self._terminated or self._truncated:
                break
            observation, reward, self._terminated, self._truncated, info = self.env.step(action)
            self._observations.append(observation)
            total += float(reward)
            coverages[i] = info["coverage"]
        return self._stacked(), total, self._terminated, self._truncated, {**info, "coverages": coverages}

    def _stacked(self) -> np.ndarray:
        return np.stack(self._observations)
