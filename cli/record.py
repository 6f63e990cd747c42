"""Let a trained policy make demonstrations: `python -m cli.record --checkpoint PATH --out demos`.

Rolls the policy out several times from each of many seeds, keeps the episodes that succeed (coverage above 0.95), of
each start the shortest and of those the shortest ones, and writes them in the columns of the human data.
"""

import argparse
import sys
from pathlib import Path

from callbacks.rollouts import run_checkpoint
from cli.policy_arguments import add_policy_arguments, start_seeds
from envs.arguments import LARGEST_COUNT, megabytes, one_or_more, recording
from envs.recording import EpisodeActions, record
from planning.self_imitation import shortest_successes


def main(args: list[str] | None = None) -> None:
    """`python -m cli.record`."""
    parser = argparse.ArgumentParser(prog="python -m cli.record", description=(__doc__ or "").split("\n\n")[0])
    add_policy_arguments(parser, seeds=350)
    parser.add_argument("--out", type=recording, required=True, help="the folder, or .parquet file, to write")
    parser.add_argument("--attempts", type=one_or_more, default=4, help="how many times each (default 4)")
    parser.add_argument("--keep", type=one_or_more, default=300, help="how many episodes to keep (default 300)")
    options = parser.parse_args(args)
    if options.seeds * options.attempts > LARGEST_COUNT:
        parser.error(f"--seeds {options.seeds} with --attempts {options.attempts} are over {LARGEST_COUNT} episodes")
    try:
        seeds = [seed for seed in start_seeds(options) for _ in range(options.attempts)]
        episodes = run_checkpoint(options.checkpoint, seeds)
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    kept = shortest_successes(episodes, options.keep)
    successes = sum(e.success for e in episodes)
    if not kept:
        sys.exit(f"none of {len(episodes)} episodes succeeded: nothing to record; train the policy longer")
    rows = record(
        (EpisodeActions({"seed": e.seed}, e.actions) for e in kept),
        options.out,
        {
            "made_by": "python -m cli.record",
            "policy": Path(options.checkpoint).name,
            "first_seed": options.first_seed,
            "seeds_tried": options.seeds,
            "attempts_each": options.attempts,
            "episodes_tried": len(episodes),
            "episodes_that_succeeded": successes,
            "episodes_kept": len(kept),
            "selection": "the shortest success of each seed, the shortest of those",
            "seed_of_each_episode": [e.seed for e in kept],
        },
    )
    size = megabytes(options.out)
    print(
        f"{successes} of {len(episodes)} episodes succeeded; kept {len(kept)} "
        f"({rows} steps, {size:.2f} MB) to {options.out}"
    )


if __name__ == "__main__":
    main()
