"""Let a trained policy make demonstrations: `python -m envs.record --checkpoint PATH --out demos.parquet`.

Rolls the policy out several times from each of many seeds, keeps the episodes that succeed (coverage above 0.95), of
each start the shortest and of those the shortest ones, and writes them in the columns of the human data.
"""

import argparse
import sys
from pathlib import Path

from envs.arguments import LARGEST_COUNT, one_or_more, parquet_file
from envs.recording import Take, record
from envs.rollout import Episode
from planning.policy_runner import add_policy_arguments, run, starts


def best(episodes: list[Episode], keep: int) -> list[Episode]:
    """Of each seed the shortest success, of those the `keep` shortest, in the order of their seeds.

    Taking the best of several attempts prefers decided episodes without preferring easy starts.
    """
    fastest: dict[int, Episode] = {}
    for episode in sorted((e for e in episodes if e.success), key=lambda e: len(e.actions)):
        fastest.setdefault(episode.seed, episode)
    return sorted(list(fastest.values())[:keep], key=lambda e: e.seed)


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m envs.record", description=__doc__.split("\n\n")[0])
    add_policy_arguments(parser, seeds=350)
    parser.add_argument("--out", type=parquet_file, required=True, help="the Parquet file to write")
    parser.add_argument("--attempts", type=one_or_more, default=4, help="how many times each (default 4)")
    parser.add_argument("--keep", type=one_or_more, default=300, help="how many episodes to keep (default 300)")
    options = parser.parse_args(args)
    if options.seeds * options.attempts > LARGEST_COUNT:
        parser.error(f"--seeds {options.seeds} with --attempts {options.attempts} are over {LARGEST_COUNT} episodes")
    try:
        episodes = run(options, [seed for seed in starts(options) for _ in range(options.attempts)])
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    kept = best(episodes, options.keep)
    successes = sum(e.success for e in episodes)
    if not kept:
        sys.exit(f"none of {len(episodes)} episodes succeeded: nothing to record; train the policy longer")
    rows = record(
        (Take({"seed": e.seed}, e.actions) for e in kept),
        options.out,
        {
            "made_by": "python -m envs.record",
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
    size = options.out.stat().st_size / 1e6
    print(
        f"{successes} of {len(episodes)} episodes succeeded; kept {len(kept)} "
        f"({rows} steps, {size:.2f} MB) to {options.out}"
    )


if __name__ == "__main__":
    main()
