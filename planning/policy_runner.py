"""Commands that let a policy act. The world knows nothing of policies: what runs them is named, not imported."""

import argparse
from collections.abc import Sequence
from importlib import import_module

from envs.arguments import one_or_more, seeds_from, start_seed
from envs.rollout import Episode

FIRST_SEED = 1_000_000  # of the starts; far from the validation seeds (0 to 999) and the test seeds (100000 and up)


def add_policy_arguments(parser: argparse.ArgumentParser, seeds: int) -> None:
    """Which policy, from which starts; `seeds` is how many by default."""
    parser.add_argument("--checkpoint", required=True, help="the policy: a .ckpt file or a folder of pretrained/")
    parser.add_argument("--seeds", type=one_or_more, default=seeds, help=f"how many starts to try (default {seeds})")
    parser.add_argument(
        "--first-seed", type=start_seed, default=FIRST_SEED, help=f"of the starts (default {FIRST_SEED})"
    )
    parser.add_argument(
        "--runner",
        default="callbacks.rollouts:run_checkpoint",
        help="MODULE:FUNCTION that turns a checkpoint path and seeds into episodes",
    )


def starts(options: argparse.Namespace) -> range:
    """The seeds that the command line names; ValueError where they go too far."""
    return seeds_from(options.first_seed, options.seeds)


def run(options: argparse.Namespace, seeds: Sequence[int]) -> list[Episode]:
    """One episode of the named policy from each of these seeds."""
    module, function = options.runner.split(":")
    return getattr(import_module(module), function)(options.checkpoint, seeds)
