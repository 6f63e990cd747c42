"""Steps per second of our Push-T against gym-pusht, on one core, in one run: `python -m benchmarks.pusht_env_speed`.

Both step the same actions from the same states and give the same observation (keypoints and pointer): targets drawn at
random, new every ten steps. The two take turns, so a machine whose speed drifts slows both.
"""

import platform
import statistics
import time

import gymnasium as gym
import numpy as np
from rich.console import Console
from rich.table import Table

import envs  # noqa: F401  registers firstlight/PushT-v0
from benchmarks.command import as_command

ROUNDS, STEPS = 9, 600


def seconds(env: gym.Env, seed: int) -> float:
    """Time of STEPS control steps after a reset."""
    rng = np.random.default_rng(seed)
    state = np.array([*rng.uniform(50, 450, 2), *rng.uniform(100, 400, 2), rng.uniform(-np.pi, np.pi)])
    actions = np.repeat(rng.uniform(0, 512, (STEPS // 10, 2)), 10, axis=0)
    env.reset(options={"reset_to_state": state, "benchmark_order": True})
    start = time.perf_counter()
    for action in actions:
        env.step(action)
    return time.perf_counter() - start


def main() -> None:
    import gym_pusht  # noqa: F401  registers gym_pusht/PushT-v0
    import pymunk

    ours = gym.make("firstlight/PushT-v0", observation="keypoints").unwrapped
    theirs = gym.make("gym_pusht/PushT-v0", obs_type="environment_state_agent_pos").unwrapped
    seconds(ours, 0), seconds(theirs, 0)  # warm up
    times = [(seconds(ours, seed), seconds(theirs, seed)) for seed in range(ROUNDS)]
    table = Table(
        "environment", "steps per second (median)", title=f"Push-T, pymunk {pymunk.version}, {platform.machine()}"
    )
    for name, own in zip(("firstlight/PushT-v0", "gym_pusht/PushT-v0"), zip(*times, strict=True), strict=True):
        table.add_row(name, f"{STEPS / statistics.median(own):.0f}")
    ratios = [theirs / ours for ours, theirs in times]
    table.add_row("ratio (min to max)", f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
    Console().print(table)


if __name__ == "__main__":
    as_command(main)
