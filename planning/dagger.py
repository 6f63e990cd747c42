"""DAgger on Push-T: the planner shows the way from states that a policy came to.

Ross et al. 2011, "A Reduction of Imitation Learning and Structured Prediction to No-Regret Online Learning". The
learner acts, the expert says what it would have done in the states that the learner came to, and the learner is trained
on that. The expert is `planning.planner`. `python -m cli.dagger` does it for a checkpoint, by default only in episodes
that the policy failed in.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from envs.episode import Episode, replay
from planning.planner import PlannedEpisode, plan_episodes


def states_after(episode: Episode, steps: Sequence[int]) -> list[list[float]]:
    """The world after so many steps of an episode, where it is that long: (5,) states as `PushT.reset` takes them."""
    worlds = enumerate(replay(episode))
    return [[*env.pointer_position().tolist(), *env.block_pose().tolist()] for step, env in worlds if step in steps]


def plan_corrections(
    episodes: Iterable[Episode], after_steps: Sequence[int], unfinished: Path, workers: int
) -> list[PlannedEpisode]:
    """The planner's episodes from states of a policy's: one from each of the `after_steps` that an episode reached.

    What is planned is kept in the file `unfinished` (`planning.planner.plan_episodes`); `workers` processes plan.
    """
    states = [state for episode in episodes for state in states_after(episode, after_steps)]
    return plan_episodes([{"options": {"reset_to_state": state}} for state in states], unfinished, workers)
