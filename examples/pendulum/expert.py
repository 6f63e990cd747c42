"""An expert for gymnasium's Pendulum-v1, and demonstrations of it as a folder of LeRobot's format.

    python examples/pendulum/expert.py --out runs/pendulum_demos

Far from the top it pumps energy into the swing (Astrom & Furuta 2000, "Swinging up a pendulum by energy control");
near it, it holds the pendulum by a linear law.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import gymnasium
import numpy as np

from envs.arguments import one_or_more
from envs.lerobot_dataset import check_place, write_dataset
from envs.world import World

ENV_ID = "Pendulum-v1"
STEPS_A_SECOND = 20  # of 0.05 s
FIRST_SEED = 1_000_000  # far from the starts of validation (0 and up) and test (100000 and up)
GRAVITY, TORQUE = 15.0, 2.0  # angular acceleration at the horizontal, 3 g / (2 l); largest torque
HELD = 0.4  # radians from the top, counting where the velocity leads
LEAD = 0.2  # seconds
GAINS = 10.0, 3.0  # of angle and velocity


def torque(observation: np.ndarray) -> np.ndarray:
    """(..., 3) cos, sin and velocity of the angle, 0 at the top -> (..., 1) torque within [-2, 2]."""
    cos, sin, velocity = np.moveaxis(np.asarray(observation, np.float64), -1, 0)
    angle = np.arctan2(sin, cos)
    missing = GRAVITY * (1 - cos) - velocity**2 / 2  # energy: 0 where it would just come to rest at the top
    pump = missing * np.where(velocity < 0, -1, 1)
    hold = -(GAINS[0] * angle + GAINS[1] * velocity)
    wanted = np.where(np.abs(angle + LEAD * velocity) < HELD, hold, pump)
    return np.clip(wanted, -TORQUE, TORQUE)[..., None].astype(np.float32)


def episodes(seeds: Sequence[int]) -> Iterator[dict[str, np.ndarray]]:
    """The expert's episode from each seed, in the columns of a data set; L = 200 steps."""
    env = gymnasium.make(ENV_ID)
    for seed in seeds:
        observation, _ = env.reset(seed=seed)
        rows, over = [], False
        while not over:
            action = torque(observation)
            following, reward, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
            rows.append((observation, action, np.float32(reward), over))
            observation = following
        names = ("observation.state", "action", "next.reward", "next.done")
        yield dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True))


def expert_return(seeds: Sequence[int]) -> float:
    """The expert's mean return over these starts, as `callbacks.rollouts` plays them."""
    world = World(ENV_ID)
    played = world.rollout(lambda seen, _: torque(seen[:, -1])[:, None], seeds, n_obs_steps=1, n_action_steps=1)
    return world.summarize(played)["mean_return"].mean


def main(args: list[str] | None = None) -> None:
    """`python examples/pendulum/expert.py`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--episodes", type=one_or_more, default=100, help="how many (default 100)")
    options = parser.parse_args(args)
    try:
        check_place(options.out)
    except ValueError as error:
        parser.error(str(error))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    made = list(episodes(range(FIRST_SEED, FIRST_SEED + options.episodes)))
    provenance = {"made_by": "examples/pendulum/expert.py", "first_seed": FIRST_SEED}
    rows = write_dataset(
        options.out, made, STEPS_A_SECOND, "Swing the pendulum up and hold it.", "pendulum", provenance
    )
    mean = np.mean([episode["next.reward"].sum() for episode in made])
    print(f"{len(made)} episodes ({rows} steps, mean return {mean:.1f}) in {options.out}")


if __name__ == "__main__":
    main()
