"""Stage 6: a policy for a robot."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from scipy.stats import binomtest

from datamodules.episodes import Episodes
from datamodules.windows import Windows
from envs import physics
from envs.action_chunking import ActionChunking
from exercises.exercise import Stage
from exercises.grading import same
from metrics import wilson_interval

STAGE = Stage("Push-T: a robot that acts")


@STAGE.exercise(physics.to_block, level=1)
def block_frame(answer: Any) -> None:
    """World points as the block sees them.

    A block at the pose (x, y, angle) turns and moves its own points into the world; go the other way: subtract
    (x, y), then turn by -angle. World points (N, ..., 2) and poses (N, 3): each block has its own points.
    """
    poses = np.array([[1.0, 2.0, 0.3], [-4.0, 0.5, -2.0]])
    points = np.random.default_rng(0).normal(size=(2, 3, 2))
    turned = np.stack(
        [np.exp(-1j * pose[2]) * (p @ [1, 1j] - pose[:2] @ [1, 1j]) for p, pose in zip(points, poses, strict=True)]
    )
    same("points in the frames of two blocks", answer.to_block(points, poses), np.stack([turned.real, turned.imag], -1))
    same("one point each", answer.to_block(points[:, 0], poses), np.stack([turned.real, turned.imag], -1)[:, 0])


@STAGE.exercise(Windows.__getitems__, level=2)
def windows(answer: Any) -> None:
    """Episodes cut into windows to learn from.

    `index_on(self.steps.device, indices)` makes a tensor of the indices. For the step t = `self.steps[index]`, between
    the episode's `self.first[index]` and `self.last[index]`: the observations at t-O+1 .. t, the actions at t .. t+T-1,
    and which of these lie past the end. Before the first step repeat the first observation, after the last the last
    action. Observations may be several arrays: `map_observation(lambda values: ..., self.observations)`.
    """
    steps = torch.arange(9.0)
    episodes = Episodes(steps[:, None], steps[:, None] + 0.5, torch.tensor([0, 5]), torch.tensor([5, 9]))
    batch = answer.Windows(episodes, torch.arange(2), 3, 4, 3).__getitems__([0, 3, 5, 8])
    for name, expected in {
        "observation": [[0, 0, 0], [1, 2, 3], [5, 5, 5], [6, 7, 8]],
        "action": [[0.5, 1.5, 2.5, 3.5], [3.5, 4.5, 4.5, 4.5], [5.5, 6.5, 7.5, 8.5], [8.5, 8.5, 8.5, 8.5]],
        "action_is_pad": [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 1, 1]],
        "index": [0, 3, 5, 8],
    }.items():
        got = batch.get(name) if isinstance(batch, dict) else batch
        flat = got[..., 0] if name in ("observation", "action") and isinstance(got, torch.Tensor) else got
        same(f"{name} of the steps 0 and 3 of an episode of 5, and 0 and 3 of one of 4", flat, expected)


class Count(gym.Env[np.ndarray, np.ndarray]):
    """Adds up its actions; an episode ends after 5 steps."""

    observation_space = gym.spaces.Box(-math.inf, math.inf, (1,), np.float64)
    action_space = gym.spaces.Box(-math.inf, math.inf, (1,), np.float64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        self.total, self.count = 0.0, 0
        return np.array([0.0]), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.total, self.count = self.total + float(action[0]), self.count + 1
        return np.array([self.total]), self.total, self.count == 5, False, {"count": self.count}


@STAGE.exercise(ActionChunking.step, level=2)
def receding_horizon(answer: Any) -> None:
    """Act for a few steps, then look again.

    Step the environment by each action of the chunk, until the episode ends; an episode that has ended is not stepped.
    Keep each observation in `self._observations`. Return `self._stacked()`, the sum of the rewards,
    `self._terminated`, `self._truncated`, and the last info with "steps": {"reward": ..., and each key of `self.kept`},
    arrays (n_action_steps,) that are NaN where no action was carried out.
    """
    env = answer.ActionChunking(Count(), n_action_steps=3, n_obs_steps=2, kept=["count"])
    env.reset()
    nan = math.nan
    for what, seen, reward, ended, rewards, counts in (
        ("first chunk", [[2], [3]], 6.0, False, [1, 2, 3], [1, 2, 3]),
        ("second chunk, in which the episode ends", [[4], [5]], 9.0, True, [4, 5, nan], [4, 5, nan]),
        ("chunk after the end", [[4], [5]], 0.0, True, [nan, nan, nan], [nan, nan, nan]),
    ):
        observation, total, terminated, truncated, info = env.step(np.ones((3, 1)))
        same(f"{what}: observations", observation, seen)
        same(f"{what}: reward", total, reward)
        same(f"{what}: terminated and truncated", [terminated, truncated], [ended, False])
        same(f"{what}: reward of each step", info["steps"]["reward"], rewards)
        same(f"{what}: count of each step", info["steps"]["count"], counts)


@STAGE.exercise(wilson_interval.wilson_interval, level=1)
def success_rate(answer: Any) -> None:
    """How sure is a success rate?

    With p = successes / n and z the normal quantile at (1 + confidence) / 2 (`NormalDist().inv_cdf`), its ends are
        (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    Return ConfidenceInterval(p, low, high).
    """
    for successes, n in ((45, 50), (0, 10), (7, 7)):
        ends = binomtest(successes, n).proportion_ci(0.95, method="wilson")
        got = answer.wilson_interval(successes, n)
        same(f"share and interval of {successes} in {n}", got, [successes / n, ends.low, ends.high])
