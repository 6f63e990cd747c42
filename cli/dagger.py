"""Let the planner go on where a policy failed: `python -m cli.dagger --checkpoint PATH --out corrections`.

DAgger (`planning.dagger`): rolls the policy out from many seeds. From states of the episodes that did not succeed, the
planner finds a way to the target; those ways are written as episodes of their own, in the columns of the human data. A
policy that is trained on them beside its own successes learns what to do where it used to be stuck.
"""

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from callbacks.rollouts import run_checkpoint
from cli.policy_arguments import add_policy_arguments, start_seeds
from envs.arguments import megabytes, processes, recording, whole_number
from envs.pusht import MAX_EPISODE_STEPS
from envs.recording import EpisodeActions, record
from planning.beam_search import BeamSearch
from planning.dagger import plan_corrections

AFTER_STEPS = (150, 300)  # half way through an episode, and at its end


def main(args: list[str] | None = None) -> None:
    """`python -m cli.dagger`."""
    parser = argparse.ArgumentParser(prog="python -m cli.dagger", description=(__doc__ or "").split("\n\n")[0])
    add_policy_arguments(parser, seeds=1000)
    parser.add_argument("--out", type=recording, required=True, help="the folder, or .parquet file, to write")
    parser.add_argument(
        "--after-steps",
        type=whole_number(1, MAX_EPISODE_STEPS),
        nargs="+",
        default=AFTER_STEPS,
        help=f"steps of an episode after which the planner takes over (default {AFTER_STEPS})",
    )
    parser.add_argument("--successes", action="store_true", help="take over in episodes that succeeded, too")
    parser.add_argument("--workers", type=processes, default=os.cpu_count(), help="processes (default: one per core)")
    options = parser.parse_args(args)
    unfinished = options.out.with_suffix(".plans.jsonl")
    try:
        episodes = run_checkpoint(options.checkpoint, start_seeds(options))
        taken_over = [episode for episode in episodes if options.successes or not episode.success]
        planned = plan_corrections(taken_over, options.after_steps, unfinished, options.workers)
    except KeyboardInterrupt:
        sys.exit(f"interrupted; what is planned is in {unfinished}: the same command goes on from there")
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    solved = {i: np.array(episode["actions"]) for i, episode in enumerate(planned) if episode["actions"]}
    if not solved:
        sys.exit(f"{len(taken_over)} of {len(episodes)} episodes to go on from: nothing to record")
    figures = {
        "episodes_tried": len(episodes),
        "episodes_that_failed": sum(not episode.success for episode in episodes),
        "states_planned_from": len(planned),
        "solved": len(solved),
        "mean_steps": round(float(np.mean([len(actions) for actions in solved.values()])), 1),
    }
    rows = record(
        (EpisodeActions(planned[i]["reset"], actions) for i, actions in solved.items()),
        options.out,
        {
            "made_by": "python -m cli.dagger",
            "policy": Path(options.checkpoint).name,
            "first_seed": options.first_seed,
            "taken_over_after_steps": list(options.after_steps),
            "of_successes_too": options.successes,
            "search": asdict(BeamSearch()),
            **figures,
        },
    )
    unfinished.unlink()
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items()))
    print(f"{len(solved)} episodes ({rows} steps, {megabytes(options.out):.2f} MB) in {options.out}")


if __name__ == "__main__":
    main()
