"""Eight test episodes of a policy, side by side: the animation of the README.

python -m benchmarks.pusht_rollout_gif --policy pretrained/pusht_planner --out docs/pusht.gif
"""

import argparse
from pathlib import Path

from benchmarks.command import as_command
from callbacks.rollouts import FIRST_TEST_SEED, run_policy
from checkpoints.load_trained import load_trained
from envs import video
from lightning_modules.diffusion_policy import DiffusionPolicy


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pusht_rollout_gif", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--policy", default="pretrained/pusht_planner", help="a .ckpt file or a folder of pretrained/")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/pusht.gif"), help=".gif or .mp4 (default runs/pusht.gif)"
    )
    options = parser.parse_args()
    episodes = run_policy(load_trained(options.policy, DiffusionPolicy), range(FIRST_TEST_SEED, FIRST_TEST_SEED + 8))
    print(video.write(options.out, video.wall(episodes, columns=4, size=160)))


if __name__ == "__main__":
    as_command(main)
