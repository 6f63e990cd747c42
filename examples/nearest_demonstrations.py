"""Push-T without any training: do what was done in the most similar moment of any demonstration.

    python -m examples.nearest_demonstrations --source lerobot/pusht_keypoints
    python -m examples.nearest_demonstrations --source bundled --episodes 100

A table of moments stands in for a network: what was seen, and the 8 targets of the pointer that followed. The policy
looks up the nearest moment and repeats its targets, moved half of the way to where its own pointer is now: whole, they
would lead it back to the demonstration's path without regard for the block; not at all, they would be that path. This
is behaviour cloning by one nearest neighbour, with the two parts of Geometry-aware Policy Imitation (Li et al. 2025):
along the demonstration, and towards it.

N moments, B episodes, T actions.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np
import torch
from rich.console import Console

from callbacks.rollouts import LEGACY_STARTS, table
from datamodules.episodes import Episodes
from datamodules.hindsight_alignment import align_ends
from datamodules.mirror_image import mirror
from datamodules.pusht import read_keypoints
from envs.arguments import one_or_more, seeds_from, start_seed
from envs.episode_statistics import summarize
from envs.rollout import rollout

ACTIONS = 8  # T: carried out before the next look-up
POINTER = 2.0  # weight of the pointer's distance beside that of each of the block's corners


class NearestDemonstration:
    """Acts as the nearest moment of the demonstrations did, and as all their mirror images.

    Args:
        demonstrations: in pixels, observations (N, 18) and actions (N, 2).
    """

    def __init__(self, demonstrations: Episodes):
        steps = torch.arange(len(demonstrations.actions))
        ends = torch.repeat_interleave(demonstrations.ends, demonstrations.lengths)
        following = (steps[:, None] + torch.arange(ACTIONS)).minimum(ends[:, None] - 1)  # the last action stays
        observations, actions = demonstrations.observations, demonstrations.actions[following]
        assert isinstance(observations, torch.Tensor)
        both = zip((observations, actions), mirror(observations, actions), strict=True)
        self.observations, self.actions = (torch.cat(pair).numpy() for pair in both)
        self.weights = np.repeat(np.float32([POINTER, 1.0]), [2, 16])
        self.moments = self.observations * self.weights
        self.norms = np.square(self.moments).sum(1)

    def __call__(self, observations: np.ndarray, episodes: Sequence[int]) -> np.ndarray:
        """Observed steps (B, O, 18), the last of which counts -> actions (B, T, 2)."""
        now = np.asarray(observations, np.float32)[:, -1]
        distances = self.norms - 2 * (now * self.weights) @ self.moments.T  # squared, less what they have in common
        nearest = distances.argmin(1)
        offset = now[:, :2] - self.observations[nearest, :2]
        return self.actions[nearest] + offset[:, None] / 2


def main() -> None:
    """`python -m examples.nearest_demonstrations`."""
    description = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m examples.nearest_demonstrations", description=description)
    parser.add_argument("--source", default="lerobot/pusht_keypoints", help="demonstrations, or bundled")
    parser.add_argument("--episodes", type=one_or_more, default=500)
    parser.add_argument("--first-seed", type=start_seed, default=100_000)
    parser.add_argument("--gym-starts", action="store_true", help="gym-pusht's own rule for starts, not the paper's")
    parser.add_argument("--as-recorded", action="store_true", help="episodes are not aligned so that they succeed")
    given = parser.parse_args()
    demonstrations = read_keypoints(given.source)
    policy = NearestDemonstration(demonstrations if given.as_recorded else align_ends(demonstrations))
    seeds = seeds_from(given.first_seed, given.episodes)
    episodes = rollout(policy, seeds, 1, ACTIONS, legacy_resets=not given.gym_starts)
    starts = "gym-pusht's starts" if given.gym_starts else LEGACY_STARTS
    console = Console()
    console.print(table({"nearest demonstration": summarize(episodes)}, len(episodes), given.first_seed, starts))
    one = policy.observations[:1, None]
    began = time.perf_counter()
    for _ in range(100):
        policy(one, [0])
    milliseconds = 10 * (time.perf_counter() - began)
    console.print(
        f"{len(policy.moments):,} moments, mirror images included; {milliseconds:.1f} ms for {ACTIONS} actions"
    )


if __name__ == "__main__":
    main()
