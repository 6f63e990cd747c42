"""Let the planner go on where a policy failed: `python -m planning.dagger --checkpoint PATH --out corrections.parquet`.

Rolls the policy out from many seeds. From states of the episodes that did not succeed, the planner finds a way to the
target; those ways are written as episodes of their own, in the columns of the human data. A policy that is trained on
them beside its own successes learns what to do where it used to be stuck: DAgger (Ross et al. 2011, "A Reduction of
Imitation Learning and Structured Prediction to No-Regret Online Learning"), with an expert that is asked only where the
learner does not know better.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from envs.arguments import parquet_file, processes, whole_number
from envs.pusht import MAX_EPISODE_STEPS
from envs.recording import Take, record
from envs.rollout import Episode, replay
from planning.beam_search import BeamSearch
from planning.planner import ATTEMPTS, plan_episodes
from planning.policy_runner import add_policy_arguments, run, starts

AT = (150, 300)  # steps of an episode after which the planner takes over: half way, and at the end


def states_after(episode: Episode, steps: Sequence[int]) -> list[list[float]]:
    """The world after so many steps of an episode, where it is that long: (5,) states as `PushT.reset` takes them."""
    worlds = enumerate(replay(episode))
    return [[*env.pointer_position().tolist(), *env.block_pose().tolist()] for step, env in worlds if step in steps]


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m planning.dagger", description=__doc__.split("\n\n")[0])
    add_policy_arguments(parser, seeds=1000)
    parser.add_argument("--out", type=parquet_file, required=True, help="the Parquet file to write")
    parser.add_argument(
        "--at",
        type=whole_number(1, MAX_EPISODE_STEPS),
        nargs="+",
        default=AT,
        help=f"steps after which to take over (default {AT})",
    )
    parser.add_argument("--successes", action="store_true", help="take over in episodes that succeeded, too")
    parser.add_argument("--workers", type=processes, default=os.cpu_count(), help="processes (default: one per core)")
    options = parser.parse_args(args)
    unfinished = options.out.with_suffix(".plans.jsonl")
    try:
        episodes = run(options, starts(options))
        taken_over = [episode for episode in episodes if options.successes or not episode.success]
        states = [state for episode in taken_over for state in states_after(episode, options.at)]
        resets = [{"options": {"reset_to_state": state}} for state in states]
        planned = plan_episodes(resets, unfinished, options.workers, attempts=ATTEMPTS)
    except KeyboardInterrupt:
        sys.exit(f"interrupted; what is planned is in {unfinished}: the same command goes on from there")
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    solved = [episode for episode in planned if episode["actions"]]
    if not solved:
        sys.exit(f"{len(taken_over)} of {len(episodes)} episodes to go on from: nothing to record")
    figures = {
        "episodes_tried": len(episodes),
        "episodes_that_failed": sum(not episode.success for episode in episodes),
        "states_planned_from": len(resets),
        "solved": len(solved),
        "mean_steps": round(float(np.mean([len(episode["actions"]) for episode in solved])), 1),
    }
    rows = record(
        (Take(episode["reset"], np.array(episode["actions"])) for episode in solved),
        options.out,
        {
            "made_by": "python -m planning.dagger",
            "policy": Path(options.checkpoint).name,
            "first_seed": options.first_seed,
            "taken_over_after_steps": list(options.at),
            "of_successes_too": options.successes,
            "search": asdict(BeamSearch()),
            **figures,
        },
    )
    unfinished.unlink()
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items()))
    print(f"{len(solved)} episodes ({rows} steps, {options.out.stat().st_size / 1e6:.2f} MB) in {options.out}")


if __name__ == "__main__":
    main()
