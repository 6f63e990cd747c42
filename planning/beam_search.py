"""Beam search over pushes in the exact dynamics of Push-T: from a state to plans that end with the block on its target.

B counts plans that are kept, N those that are tried at once, L control steps of a push.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import limits
from envs import t_block
from envs.physics import Simulator
from envs.pusht import MAX_EPISODE_STEPS, SUCCESS_COVERAGE
from planning.pushes import WALKING_SPEED, paths, perturbed, sample

NEVER_DONE = 4.0  # px: no block with so large a D covers 95 % of its target
LARGEST_COUNT = 10_000
_TARGET = t_block.corners(t_block.TARGET_POSE)


def distance_to_target(poses: np.ndarray) -> np.ndarray:
    """D, how far the eight corners are from where they belong, root mean square: poses (..., 3) -> (...) px."""
    return np.sqrt(((t_block.corners(poses) - _TARGET) ** 2).sum(-1).mean(-1))


def covers(poses: np.ndarray, coverage: float) -> np.ndarray:
    """Whether blocks cover more than that share of the target: poses (N, 3) -> (N,). Cheap where they are far away."""
    covering = distance_to_target(poses) < NEVER_DONE
    covering[covering] = t_block.coverage(poses[covering]) > coverage
    return covering


class _Plans(NamedTuple):
    """Plans so far and where they lead."""

    states: np.ndarray  # (B, 10)
    costs: np.ndarray  # (B,) steps, taken and expected; infinite where the pointer cannot go that way
    done: np.ndarray  # (B,) whether the block lies on its target
    actions: list[np.ndarray]  # B times (steps, 2)

    def take(self, rows: np.ndarray) -> "_Plans":
        return _Plans(self.states[rows], self.costs[rows], self.done[rows], [self.actions[i] for i in rows])

    def cheaper(self, other: "_Plans") -> "_Plans":
        """Of each pair the one that costs less."""
        better = other.costs < self.costs
        return _Plans(
            np.where(better[:, None], other.states, self.states),
            np.where(better, other.costs, self.costs),
            np.where(better, other.done, self.done),
            [theirs if b else ours for b, ours, theirs in zip(better, self.actions, other.actions, strict=True)],
        )


@dataclass(frozen=True)
class BeamSearch:
    """Search over sequences of pushes: try many, keep the best, push on from those.

    A plan costs the steps it takes, and until it is done what it will still take: `distance_weight` steps per px of D
    and `unfinished` on top. Every push is cut where the plan then costs least. The distance must weigh more than it
    takes in the end: a push that turns the block, which costs now and pays later, is not kept otherwise.

    Args:
        beam: plans kept after each push.
        samples: pushes tried after each of them.
        first_samples: pushes tried at the start.
        refinements: how many times the last push of every kept plan is shifted at random, less and less, and the
            shifted one taken if it is better.
        depth: pushes in a plan at most.
        distance_weight: steps per px of D.
        unfinished: steps that a plan needs until it is done.
        done_coverage: when it is; more than the 0.95 that the environment asks for, as a margin.
        shortest_push: control steps of pushing before a push may be cut.
        walking_speed: px per control step between pushes.
    """

    beam: int = 24
    samples: int = 64
    first_samples: int = 512
    refinements: int = 20
    depth: int = 9
    distance_weight: float = 1.5
    unfinished: float = 15.0
    done_coverage: float = 0.97
    shortest_push: int = 4
    walking_speed: float = WALKING_SPEED

    def __post_init__(self) -> None:
        for name in ("beam", "samples", "first_samples", "refinements", "depth", "shortest_push"):
            limits.whole(name != "refinements", LARGEST_COUNT, **{name: getattr(self, name)})
        for name in ("distance_weight", "unfinished", "walking_speed"):
            limits.number(f"(0, {LARGEST_COUNT}]", **{name: getattr(self, name)})
        if not SUCCESS_COVERAGE <= self.done_coverage < 1:
            raise ValueError(
                f"done_coverage={self.done_coverage} must be at least {SUCCESS_COVERAGE}, where an episode ends, "
                "and below 1"
            )

    def plans(self, state: np.ndarray, seed: int | Sequence[int] = 0) -> list[np.ndarray]:
        """Plans (steps, 2) from a state (10,) that end on the target in this search's own rollouts, shortest first."""
        rng, simulator = np.random.default_rng(seed), Simulator()
        if covers(state[None, 4:7], SUCCESS_COVERAGE)[0]:
            return [np.clip(state[None, :2], 0, t_block.WORLD)]  # nothing to do but stay
        open_plans = _Plans(state[None], np.zeros(1), np.zeros(1, dtype=bool), [np.empty((0, 2))])
        finished: list[np.ndarray] = []
        shortest = np.inf
        for depth in range(self.depth):
            count = self.samples if depth else self.first_samples
            parents = open_plans.take(np.repeat(np.arange(len(open_plans.costs)), count))
            kept = self._best(simulator, rng, parents)
            finished += [kept.actions[i] for i in np.flatnonzero(kept.done)]
            shortest = min([shortest, *map(len, finished)])
            open_plans = kept.take(np.flatnonzero(~kept.done & (kept.costs < shortest)))
            if not len(open_plans.costs):
                break
        return sorted(finished, key=len)

    def _best(self, simulator: Simulator, rng: np.random.Generator, parents: _Plans) -> _Plans:
        """A random push after each of N plans; the best of what comes out, refined."""
        pushes = sample(rng, distance_to_target(parents.states[:, 4:7]))
        children = self._pushed(simulator, parents, pushes)
        best = np.argsort(children.costs, kind="stable")[: self.beam]
        best = best[np.isfinite(children.costs[best])]
        kept, parents, pushes = children.take(best), parents.take(best), pushes[best]
        for i in range(self.refinements if len(best) else 0):
            shifted = perturbed(rng, pushes, 1 - i / self.refinements)
            children = self._pushed(simulator, parents, shifted)
            pushes = np.where((children.costs < kept.costs)[:, None], shifted, pushes)
            kept = kept.cheaper(children)
        return kept

    def _pushed(self, simulator: Simulator, parents: _Plans, pushes: np.ndarray) -> _Plans:
        """One push (N, 6) after each of N plans, cut where the plan costs least."""
        path = paths(parents.states, pushes, self.walking_speed)
        after = simulator.rollouts(parents.states, path.actions, path.lengths)  # (N, L, 10), NaN past the end
        poses, step = after[..., 4:7], np.arange(1, path.actions.shape[1] + 1)
        done = covers(poses.reshape(-1, 3), self.done_coverage).reshape(poses.shape[:2])
        taken = np.array([len(actions) for actions in parents.actions])[:, None] + step  # (N, L)
        to_come = np.where(done, 0.0, self.distance_weight * distance_to_target(poses) + self.unfinished)
        may_end = done | (step >= path.walks[:, None] + self.shortest_push) | (step == path.lengths[:, None])
        may_end &= path.possible[:, None] & (step <= path.lengths[:, None]) & (taken <= MAX_EPISODE_STEPS)
        costs = np.where(may_end, taken + to_come, np.inf)
        end, rows = costs.argmin(1), np.arange(len(costs))
        actions = [np.concatenate([before, path.actions[i, : end[i] + 1]]) for i, before in enumerate(parents.actions)]
        return _Plans(after[rows, end], costs[rows, end], done[rows, end], actions)
