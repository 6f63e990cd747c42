"""Let a policy act in many Push-T worlds at once, and say how well it did."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from envs import PUSHT_ID
from envs.action_chunking import ActionChunking
from envs.pusht import MAX_EPISODE_STEPS, SUCCESS_COVERAGE, PushT, reward_of
from limits import whole

# A policy: (N, n_obs_steps, ...) observations of N episodes, and their N indices into the seeds
# -> (N, T, 2) actions in pixels, T >= n_action_steps
Act: TypeAlias = Callable[[np.ndarray, Sequence[int]], np.ndarray]
MAX_PARALLEL = 1000  # worlds at once, and steps of an action chunk


@dataclass
class Episode:
    """What happened from one seed. L steps were carried out."""

    seed: int
    actions: np.ndarray  # (L, 2) pixels
    coverages: np.ndarray  # (L,) after each step

    @property
    def score(self) -> float:
        """The best reward of the episode, min(max coverage / 0.95, 1)."""
        return reward_of(float(self.coverages.max()))

    @property
    def success(self) -> bool:
        """Whether the coverage ever exceeded 0.95."""
        return bool(self.coverages.max() > SUCCESS_COVERAGE)

    @property
    def final_coverage(self) -> float:
        """The coverage after the last step."""
        return float(self.coverages[-1])


def make_worlds(n: int, n_obs_steps: int, n_action_steps: int, parallel: bool = True, **options: Any) -> VectorEnv:
    """`n` worlds stepped together by action chunks; in `parallel`, each in its own process. `options` go to `PushT`."""
    whole(1, MAX_PARALLEL, n=n, n_obs_steps=n_obs_steps, n_action_steps=n_action_steps)
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
    """One episode of at most 300 steps from each seed.

    Seeds are played in waves of `parallel_worlds`. `act` sees the observations of those episodes of a wave that have
    not ended, and their indices into `seeds`, so that each episode can have random numbers of its own, whatever wave it
    is in. `on_progress` is called with the number of episodes that ended at a step.
    """
    whole(1, MAX_PARALLEL, n_obs_steps=n_obs_steps, n_action_steps=n_action_steps, parallel_worlds=parallel_worlds)
    if any(not 0 <= seed < 2**32 for seed in seeds):
        raise ValueError(f"seeds={list(seeds)} must be whole numbers from 0 to {2**32 - 1}")
    episodes: list[Episode] = []
    n_worlds = min(parallel_worlds, len(seeds))
    if not n_worlds:
        return episodes
    worlds = make_worlds(n_worlds, n_obs_steps, n_action_steps, observation=observation, legacy_resets=legacy_resets)
    try:
        for first in range(0, len(seeds), n_worlds):
            indices = range(first, min(first + n_worlds, len(seeds)))
            episodes += _wave(act, worlds, indices, [seeds[i] for i in indices], n_action_steps, on_progress)
    finally:
        worlds.close()
    return episodes


def _wave(
    act: Act,
    worlds: VectorEnv,
    indices: range,
    seeds: list[int],
    n_action_steps: int,
    on_progress: Callable[[int], None],
) -> list[Episode]:
    """Episodes from `seeds`, whose indices among all seeds are `indices`; at most as many as there are worlds."""
    actions, coverages = [], []
    # The last wave may be short: its spare worlds repeat the last episode's start, and are ignored.
    world_seeds = seeds + seeds[-1:] * (worlds.num_envs - len(seeds))
    observations, _ = worlds.reset(seed=world_seeds)  # type: ignore[arg-type]  # takes a list: gymnasium's type is wrong
    ended = np.arange(worlds.num_envs) >= len(seeds)
    while not ended.all():
        going = np.flatnonzero(~ended)
        chunk = np.zeros((worlds.num_envs, n_action_steps, 2), np.float32)
        chunk[going] = np.asarray(act(observations[going], [indices[i] for i in going]))[:, :n_action_steps]
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


def replay(episode: Episode, legacy_resets: bool = True) -> Iterator[PushT]:
    """Step an episode again: yields the environment after the reset and after every action."""
    env = PushT(legacy_resets=legacy_resets)
    env.reset(seed=episode.seed)
    yield env
    for action in episode.actions:
        env.step(action)
        yield env
