"""Command-line arguments of the commands that let a policy act in Push-T."""

import argparse

from envs.arguments import FIRST_RECORDING_SEED, one_or_more, seeds_from, start_seed


def add_policy_arguments(parser: argparse.ArgumentParser, seeds: int) -> None:
    """Add the arguments that name a policy and its starts; `seeds` is how many by default."""
    parser.add_argument("--checkpoint", required=True, help="the policy: a .ckpt file or a folder of pretrained/")
    parser.add_argument("--seeds", type=one_or_more, default=seeds, help=f"how many starts to try (default {seeds})")
    parser.add_argument(
        "--first-seed",
        type=start_seed,
        default=FIRST_RECORDING_SEED,
        help=f"of the starts (default {FIRST_RECORDING_SEED})",
    )


def start_seeds(options: argparse.Namespace) -> range:
    """The seeds that the command line names; ValueError where they go too far."""
    return seeds_from(options.first_seed, options.seeds)
