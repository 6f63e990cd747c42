"""How fast Push-T is: `python -m benchmarks.pusht_env_speed`.

Control steps per second on one core, ours against gym-pusht: both step the same actions from the same states and give
the same observation (keypoints and pointer): targets drawn at random, new every ten steps. The two take turns, so a
machine whose speed drifts slows both.

Then many worlds at once (`envs.pusht_vector`), by one process and by two with half of the worlds each, and images of
random states in a batch (`envs.drawing`).
"""

import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable

import gymnasium as gym
import numpy as np
from rich.console import Console
from rich.table import Table

import envs  # noqa: F401  registers firstlight/PushT-v0
from benchmarks.command import as_command
from envs.drawing import draw
from envs.pusht import PIXELS

ROUNDS, STEPS = 9, 600
WORLDS, IMAGES, PROCESSES = 64, 2000, 2


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


def step_worlds(seed: int, count: int = WORLDS) -> int:
    """Step so many worlds STEPS // 2 times, the same kind of actions; returns the control steps."""
    worlds = gym.make_vec("firstlight/PushT-v0", count, "vector_entry_point", observation="keypoints")
    worlds.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for step in range(STEPS // 2):
        if step % 10 == 0:
            actions = rng.uniform(0, 512, (count, 2))
        worlds.step(actions)
    return count * (STEPS // 2)


def draw_images(seed: int, count: int = IMAGES) -> int:
    """Draw so many random states; returns their number."""
    rng = np.random.default_rng(seed)
    poses = np.column_stack([rng.uniform(100, 400, (count, 2)), rng.uniform(-np.pi, np.pi, count)])
    draw(rng.uniform(0, 512, (count, 2)), poses, PIXELS)
    return count


def rates(work: Callable[[int], int]) -> list[float]:
    """How much a second, in each of the rounds."""
    found = []
    for seed in range(ROUNDS):
        start = time.perf_counter()
        done = work(seed)
        found.append(done / (time.perf_counter() - start))
    return found


def main() -> None:
    import gym_pusht  # noqa: F401  registers gym_pusht/PushT-v0
    import pymunk

    ours = gym.make("firstlight/PushT-v0", observation="keypoints").unwrapped
    theirs = gym.make("gym_pusht/PushT-v0", obs_type="environment_state_agent_pos").unwrapped
    seconds(ours, 0), seconds(theirs, 0)  # warm up
    times = [(seconds(ours, seed), seconds(theirs, seed)) for seed in range(ROUNDS)]
    table = Table(
        "", "a second (median)", "lowest", "highest", title=f"Push-T, pymunk {pymunk.version}, {platform.machine()}"
    )

    def row(name: str, rates: list[float]) -> None:
        table.add_row(name, *(f"{function(rates):.0f}" for function in (statistics.median, min, max)))

    for name, own in zip(("firstlight/PushT-v0", "gym_pusht/PushT-v0"), zip(*times, strict=True), strict=True):
        row(f"{name}, steps", [STEPS / one for one in own])
    ratios = [theirs / ours for ours, theirs in times]
    table.add_row("ratio", *(f"{function(ratios):.1f}" for function in (statistics.median, min, max)))
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:

        def halves(work: Callable[[int, int], int], count: int) -> Callable[[int], int]:
            parts = [count // PROCESSES] * PROCESSES
            return lambda seed: sum(pool.starmap(work, [(seed, part) for part in parts], chunksize=1))

        for name, work, count in (
            (f"{WORLDS} worlds, steps", step_worlds, WORLDS),
            (f"{IMAGES} images of {PIXELS} x {PIXELS}", draw_images, IMAGES),
        ):
            both = halves(work, count)
            work(0), both(0)  # warm up
            row(f"{name}, one process", rates(work))
            row(f"{name}, {PROCESSES} processes", rates(both))
    Console().print(table)


if __name__ == "__main__":
    as_command(main)
