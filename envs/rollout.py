"""Let a policy act in many Push-T worlds at once, and say how well it did."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from envs import PUSHT_ID
from envs.pusht import SUCCESS_COVERAGE, PushT, reward_of
from envs.world import Act, Trajectory, World


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
    """One episode of at most 300 steps from each seed, as `envs.world.World.rollout` plays them."""
    world = World(PUSHT_ID, {"observation": observation, "legacy_resets": legacy_resets}, kept=("coverage",))
    return episodes_of(world.rollout(act, seeds, n_obs_steps, n_action_steps, parallel_worlds, on_progress))


def replay(episode: Episode, legacy_resets: bool = True) -> Iterator[PushT]:
    """Step an episode again: yields the environment after the reset and after every action."""
    env = PushT(legacy_resets=legacy_resets)
    env.reset(seed=episode.seed)
    yield env
    for action in episode.actions:
        env.step(action)
        yield env
