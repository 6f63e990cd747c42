"""An episode of Push-T: what happened, how well it went, and the same once more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import gymnasium as gym
import numpy as np

from envs.pusht import SUCCESS_COVERAGE, PushT, reward_of
from envs.world import Trajectory, Wrappers


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


def episodes_of(trajectories: Sequence[Trajectory]) -> list[Episode]:
    """Episodes in Push-T, from trajectories that kept the coverage."""
    return [Episode(one.seed, one.actions, one.kept["coverage"]) for one in trajectories]


def replay(episode: Episode, legacy_resets: bool = True, wrappers: Wrappers = ()) -> Iterator[PushT]:
    """Step an episode again: yields the environment after the reset and after every action.

    In the same `wrappers`, it is disturbed as it was (`envs.disturbances`).
    """
    env = PushT("keypoints" if wrappers else "state", legacy_resets=legacy_resets)
    wrapped: gym.Env[Any, Any] = reduce(lambda inner, wrap: wrap(inner), wrappers, env)
    wrapped.reset(seed=episode.seed)
    yield env
    for action in episode.actions:
        wrapped.step(action)
        yield env
