"""Let a policy act in many Push-T worlds at once."""

from collections.abc import Callable, Sequence

from envs.episode import Episode, episodes_of
from envs.pusht_world import PushTWorld
from envs.world import Act


def rollout(
    act: Act,
    seeds: Sequence[int],
    n_obs_steps: int = 2,
    n_action_steps: int = 8,
    observation: str = "keypoints",
    legacy_resets: bool = True,
    parallel_worlds: int | None = None,
    on_progress: Callable[[int], None] = lambda finished: None,
) -> list[Episode]:
    """One episode of at most 300 steps from each seed, as `envs.world.World.rollout` plays them."""
    world = PushTWorld(options={"observation": observation, "legacy_resets": legacy_resets})
    return episodes_of(world.rollout(act, seeds, n_obs_steps, n_action_steps, parallel_worlds, on_progress))
