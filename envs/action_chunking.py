"""Action chunking (receding horizon): an environment stepped by action chunks that shows its last observations.

N worlds of a vector environment, O observations, A action dimensions.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

import limits
from envs.pusht import MAX_EPISODE_STEPS


class ActionChunking(gym.Wrapper[Any, np.ndarray, Any, np.ndarray]):
    """`step(chunk)` carries out an action chunk (n_action_steps, A) and stops early where the episode ends.

    Observations are the last `n_obs_steps` ones, stacked (n_obs_steps, ...), those of a `Dict` by key; before the first
    step, the first one is repeated. The reward is the sum over the action chunk. `info` gets `steps`: the `reward` and
    the `kept` keys of `info` after each action, (n_action_steps,) float64 each, NaN for the actions that were not
    carried out. Stepping an episode that has ended does nothing: a batch of environments can wait for the longest one.

    Args:
        env: whose actions are a `Box`.
        n_action_steps: actions of a chunk.
        n_obs_steps: observations that are shown.
        kept: keys of `info` whose numbers are kept, step by step; ValueError at the first step where one is missing.
    """

    def __init__(
        self,
        env: gym.Env[Any, np.ndarray],
        n_action_steps: int,
        n_obs_steps: int,
        kept: Sequence[str] = (),
    ):
        limits.whole(1, MAX_EPISODE_STEPS, n_action_steps=n_action_steps, n_obs_steps=n_obs_steps)
        super().__init__(env)
        self.n_action_steps, self.n_obs_steps, self.kept = n_action_steps, n_obs_steps, tuple(kept)
        self.action_space = batch_space(env.action_space, n_action_steps)
        self.observation_space = batch_space(env.observation_space, n_obs_steps)
        self._observations: deque[Any] = deque(maxlen=n_obs_steps)
        self._terminated = self._truncated = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; the observation (n_obs_steps, ...) is the first one, repeated."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._observations.extend([observation] * self.n_obs_steps)
        self._terminated = self._truncated = False
        return self._stacked(), info

    def step(self, chunk: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Carry out an action chunk (n_action_steps, A)."""
        total, info = 0.0, dict[str, Any]()
        steps = {name: np.full(self.n_action_steps, np.nan) for name in ("reward", *self.kept)}
        for i, action in enumerate(chunk):
            if self._terminated or self._truncated:
                break
            observation, reward, self._terminated, self._truncated, info = self.env.step(action)
            self._observations.append(observation)
            total += float(reward)
            steps["reward"][i] = reward
            for name in self.kept:
                if name not in info:
                    raise ValueError(f"this environment's info has no {name!r}; it has {', '.join(info) or 'nothing'}")
                steps[name][i] = info[name]
        return self._stacked(), total, self._terminated, self._truncated, {**info, "steps": steps}

    def _stacked(self) -> Any:
        space = self.env.observation_space
        out: Any = create_empty_array(space, self.n_obs_steps)
        return concatenate(space, list(self._observations), out)


class VectorActionChunking(VectorWrapper):  # no generic class in gymnasium 1.1
    """`ActionChunking` of each world of a vector environment, stepped together.

    `step(chunks)` takes (N, n_action_steps, A); observations are (N, n_obs_steps, ...), what `info["steps"]` holds is
    (N, n_action_steps). Only whole episodes: `reset` begins one in every world.

    Args:
        env: whose observations are a `Box`, and whose worlds stand still when their episodes have ended
            (`envs.pusht_vector.PushTVector` with autoreset_mode="Disabled"); ValueError for one that begins them anew.
        n_action_steps, n_obs_steps, kept: as `ActionChunking`'s.
    """

    def __init__(
        self,
        env: VectorEnv[np.ndarray, np.ndarray, np.ndarray],
        n_action_steps: int,
        n_obs_steps: int,
        kept: Sequence[str] = (),
    ):
        limits.whole(1, MAX_EPISODE_STEPS, n_action_steps=n_action_steps, n_obs_steps=n_obs_steps)
        if env.metadata.get("autoreset_mode") != AutoresetMode.DISABLED:
            raise ValueError(f"{env} begins ended episodes anew; action chunks need autoreset_mode='Disabled'")
        super().__init__(env)
        self.n_action_steps, self.n_obs_steps, self.kept = n_action_steps, n_obs_steps, tuple(kept)
        self.single_action_space = batch_space(env.single_action_space, n_action_steps)
        self.single_observation_space = batch_space(env.single_observation_space, n_obs_steps)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode in every world; the observations (N, n_obs_steps, ...) are the first one, repeated."""
        observations, info = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]  # takes a list, too
        self._observations = np.repeat(observations[:, None], self.n_obs_steps, 1)
        self._terminated, self._truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        return self._observations.copy(), info

    def step(self, chunks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Carry out action chunks (N, n_action_steps, A)."""
        totals, info = np.zeros(self.num_envs), dict[str, Any]()
        steps = {name: np.full((self.num_envs, self.n_action_steps), np.nan) for name in ("reward", *self.kept)}
        for i in range(self.n_action_steps):
            going = ~(self._terminated | self._truncated)
            if not going.any():
                break
            observations, rewards, self._terminated, self._truncated, info = self.env.step(chunks[:, i])
            self._observations[going] = np.concatenate([self._observations[going, 1:], observations[going, None]], 1)
            totals += rewards
            steps["reward"][going, i] = rewards[going]
            for name in self.kept:
                if name not in info:
                    raise ValueError(f"this environment's info has no {name!r}; it has {', '.join(info) or 'nothing'}")
                steps[name][going, i] = info[name][going]
        return self._observations.copy(), totals, self._terminated, self._truncated, {**info, "steps": steps}
