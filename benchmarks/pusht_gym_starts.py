"""A Push-T policy on gym-pusht's own starts of seeds 1000000 and up, on which DOT's figures were measured.

python -m benchmarks.pusht_gym_starts --policy pretrained/pusht_human
"""

import argparse

from rich.console import Console

from benchmarks.command import as_command
from callbacks.rollouts import run_policy, table
from checkpoints.load_trained import load_trained
from envs.arguments import one_or_more, seeds_from
from envs.episode_statistics import summarize
from lightning_modules.diffusion_policy import DiffusionPolicy

FIRST_SEED = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pusht_gym_starts", description=__doc__.split("\n\n")[0])
    parser.add_argument("--policy", default="pretrained/pusht_human", help="a .ckpt file or a folder of pretrained/")
    parser.add_argument("--episodes", type=one_or_more, default=1000, help="default 1000")
    options = parser.parse_args()
    policy = load_trained(options.policy, DiffusionPolicy)
    episodes = run_policy(policy, seeds_from(FIRST_SEED, options.episodes), legacy_resets=False)
    Console().print(table({options.policy: summarize(episodes)}, len(episodes), FIRST_SEED, "gym-pusht's starts"))


if __name__ == "__main__":
    as_command(main)
