"""Let a policy act in many Push-T worlds at once, and say how well it did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from envs import PUSHT_ID
from envs.action_chunking import ActionChunking
from envs.pusht import MAX_EPISODE_STEPS, SUCCESS_COVERAGE, reward_of
from limits import whole

# (N, n_obs_steps, ...) observations of some episodes, and their N places among the seeds -> (N, >= n_action_steps, 2)
Act = Callable[[np.ndarray, Sequence[int]], np.ndarray]
MOST = 1000  # worlds at once, and steps of a chunk


@dataclass
class Episode:
    """What happened from one seed. L steps were carried out."""

    seed: int
    actions: np.ndarray  # (L, 2) pixels
    coverages: np.ndarray  # (L,) after each step

    @property
    def score(self) -> float:
        """The best reward of the episode, min(max coverage / 0.95, 1)."""
        return reward_of(self.coverages.max())

    @property
    def success(self) -> bool:
        """Whether the coverage ever exceeded 0.95."""
        return bool(self.coverages.max() > SUCCESS_COVERAGE)

    @property
    def final_coverage(self) -> float:
        return float(self.coverages[-1])


def make_worlds(n: int, n_obs_steps: int, n_action_steps: int, parallel: bool = True, **options) -> VectorEnv:
    """`n` worlds stepped together by chunks; in `parallel`, each in a process of its own. `options` go to `PushT`."""
    whole(1, MOST, n=n, n_obs_steps=n_obs_steps, n_action_steps=n_action_steps)
    return gym.make_vec(
        PUSHT_ID,
        num_envs=n,
        vectorization_mode="async" if parallel else "sync",
        wrappers=[lambda env: ActionChunking(env, n_action_steps, n_obs_steps)],
        vector_kwargs={"autoreset_mode": AutoresetMode.DISABLED},
        **options,
    )


def rollout(
    act: Act,
    seeds: Sequence[int],
    n_obs_steps: int = 2,
    n_action_steps: int = 8,
    observation: str = "keypoints",
    legacy_resets: bool = True,
    parallel_worlds: int = 50,
    on_progress: Callable[[int], None] = lambda finished: None,
) -> list[Episode]:
    """One episode of at most 300 steps from each seed. `on_progress` hears how many more episodes have ended.

    Seeds are taken in waves of `parallel_worlds`. `act` sees those episodes of a wave that go on, and is told which
    they are: what is random in its actions may then be an episode's own, whatever wave it is in.
    """
    whole(1, MOST, n_obs_steps=n_obs_steps, n_action_steps=n_action_steps, parallel_worlds=parallel_worlds)
    if any(not 0 <= seed < 2**32 for seed in seeds):
        raise ValueError(f"seeds={list(seeds)} must be whole numbers from 0 to {2**32 - 1}")
    episodes = []
    n_worlds = min(parallel_worlds, len(seeds))
    if not n_worlds:
        return episodes
    worlds = make_worlds(n_worlds, n_obs_steps, n_action_steps, observation=observation, legacy_resets=legacy_resets)
    try:
        for first in range(0, len(seeds), n_worlds):
            numbers = range(first, min(first + n_worlds, len(seeds)))
            episodes += _wave(act, worlds, numbers, [seeds[number] for number in numbers], on_progress)
    finally:
        worlds.close()
    return episodes


def _wave(act: Act, worlds: VectorEnv, numbers: range, seeds: list[int], on_progress) -> list[Episode]:
    actions, coverages = [], []
    # The last wave may be short: its spare worlds begin as the last episode does, and then stand for nothing.
    observations, _ = worlds.reset(seed=seeds + seeds[-1:] * (worlds.num_envs - len(seeds)))
    ended = np.arange(worlds.num_envs) >= len(seeds)
    n_action_steps = worlds.single_action_space.shape[0]
    while not ended.all():
        going = np.flatnonzero(~ended)
        chunk = np.zeros(worlds.action_space.shape, np.float32)  # (N, n_action_steps, 2)
        chunk[going] = np.asarray(act(observations[going], [numbers[i] for i in going]))[:, :n_action_steps]
        observations, _, terminated, truncated, info = worlds.step(chunk)
        actions.append(chunk)
        coverages.append(info["coverages"])
        on_progress(int(((terminated | truncated) & ~ended).sum()))
        ended |= terminated | truncated
    all_actions, all_coverages = np.concatenate(actions, 1), np.concatenate(coverages, 1)  # (N, L, 2), (N, L)
    carried_out = ~np.isnan(all_coverages) & (np.arange(all_coverages.shape[1]) < MAX_EPISODE_STEPS)
    return [
        Episode(seed, all_actions[i, carried_out[i]], all_coverages[i, carried_out[i]]) for i, seed in enumerate(seeds)
    ]


def replay(episode: Episode, legacy_resets: bool = True, **options):
    """Step an episode again: yields the environment after the reset and after every action."""
    env = gym.make(PUSHT_ID, legacy_resets=legacy_resets, **options)
    env.reset(seed=episode.seed)
    yield env.unwrapped
    for action in episode.actions:
        env.step(action)
        yield env.unwrapped
