"""Push-T policies under disturbances that no demonstration shows: success rate and score of each.

    python -m benchmarks.pusht_disturbances pretrained/pusht_human pretrained/pusht_planner --episodes 500

Starts are those of the published figures: legacy initial states of seeds 100000 and up. Rows (`envs.disturbances`):

    none       the world as it is
    pushes     the block moved by up to 60 px and turned by up to 0.5 rad at one of the first 50 steps
    noise      every observed keypoint with Gaussian noise of 2 px, the pointer's too
    delay      each action carried out one control step later
    damping    the pointer's damping 20 % heavier

Brackets hold 95 % intervals: of success Wilson's, of the score Student's.
"""

import argparse

from rich.console import Console
from rich.table import Table

from benchmarks.command import as_command
from callbacks.rollouts import FIRST_TEST_SEED, roll_out, title
from checkpoints.load_trained import load_trained
from envs.arguments import one_or_more, seeds_from
from envs.disturbances import ActionDelay, BlockPush, KeypointNoise, PointerDamping
from envs.pusht_world import PushTWorld
from envs.world import Wrappers
from lightning_modules.diffusion_policy import DiffusionPolicy
from metrics.confidence_interval import ConfidenceInterval

DISTURBANCES: dict[str, Wrappers] = {
    "none": (),
    "pushes": (BlockPush,),
    "noise": (KeypointNoise,),
    "delay": (ActionDelay,),
    "damping": (PointerDamping,),
}


def cell(success: ConfidenceInterval, score: ConfidenceInterval) -> str:
    return (
        f"{100 * success.mean:.1f} % [{100 * success.low:.1f}, {100 * success.high:.1f}]\n"
        f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pusht_disturbances", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("policies", nargs="+", help="folders of pretrained/, or .ckpt files")
    parser.add_argument("--episodes", type=one_or_more, default=500, help="of each cell (default 500)")
    parser.add_argument("--only", nargs="+", choices=DISTURBANCES, default=list(DISTURBANCES), help="rows (all)")
    options = parser.parse_args()
    policies = {path: load_trained(path, DiffusionPolicy) for path in options.policies}
    seeds = seeds_from(FIRST_TEST_SEED, options.episodes)
    heading = f"success rate, and score below it: {title(len(seeds), seeds[0])}"
    table = Table("disturbance", *policies, title=heading, show_lines=True)
    worlds = {  # all of them before the first episode: noise on keypoints is nothing for a policy that sees images
        name: [PushTWorld(wrappers=DISTURBANCES[name]).observed_as(policy.observation) for policy in policies.values()]
        for name in options.only
    }
    for name, own in worlds.items():
        figures = [
            world.summarize(roll_out(policy, world, seeds))
            for policy, world in zip(policies.values(), own, strict=True)
        ]
        table.add_row(name, *(cell(metrics["success_rate"], metrics["score"]) for metrics in figures))
    Console().print(table)


if __name__ == "__main__":
    as_command(main)
