"""The planner of Push-T in a process of its own: a search takes seconds, and everybody else's world goes on."""

from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

from envs.physics import get_state
from envs.pusht import PushT
from planning.planner import plan

ATTEMPTS = 2


class Solution(NamedTuple):
    """What leads an episode to success."""

    actions: np.ndarray  # (L, 2) targets of the pointer, pixels
    pushing: np.ndarray  # (L,) whether the block moves; the pointer walks around it otherwise


@cache
def _processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"))


def solve(env: PushT) -> "Future[Solution | None]":
    """A search from where an environment is now, to the bit."""
    return _processes().submit(_solve, env)


def _solve(env: PushT) -> Solution | None:
    episode = env.__getstate__()
    found = plan(get_state(env), attempts=ATTEMPTS, start=lambda replay: replay.__setstate__(episode))
    if found is None:
        return None
    poses = [env.block_pose()]
    for action in found.actions:
        env.step(action)
        poses.append(env.block_pose())
    return Solution(found.actions, np.abs(np.diff(poses, axis=0)).max(1) > 1e-9)
