"""Solve Push-T by search, and write demonstrations: `python -m planning.planner --episodes 500 --out demos.parquet`.

From any state a plan is searched for in the exact dynamics (`planning.beam_search`) and then replayed in the
environment itself: what is returned or written has succeeded there. Episodes are planned on all cores. What is planned
is kept in a file beside `--out` until all is: after an interruption, the same command goes on where it stopped.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

import limits
from envs.arguments import one_or_more, parquet_file, processes, seeds_from, start_seed
from envs.physics import STATE, place, state_of
from envs.pusht import PushT, numbers
from envs.recording import Take, record
from planning.beam_search import BeamSearch
from planning.policy_runner import FIRST_SEED

ATTEMPTS = 4
REPLAYED = 8  # plans of one search that are tried in the environment


class Plan(NamedTuple):
    """What solves an episode: the environment ends in success with the last action."""

    actions: np.ndarray  # (L, 2) targets of the pointer, pixels
    attempts: int  # how many searches it took


def plan(
    state: np.ndarray,
    seed: int = 0,
    attempts: int = ATTEMPTS,
    search: BeamSearch | None = None,
    start: Callable[[PushT], None] | None = None,
) -> Plan | None:
    """Actions that lead from a state (10,), `envs.physics.state_of(env)`, to success; None if no search found any.

    Every attempt searches with other random numbers; `seed` draws them all. Plans are replayed in an environment that
    `start` brings to its beginning; by default, it is placed into the state.
    """
    limits.whole(attempts=attempts)
    state = numbers(state, STATE, "a plan starts from the 10 finite numbers of envs.physics.state_of(env)")
    env, search = PushT("state"), search or BeamSearch()
    for attempt in range(attempts):
        for actions in search.plans(state, seed=[seed, attempt])[:REPLAYED]:
            if start:
                start(env)
            else:
                place(env, state)
            steps = steps_to_success(env, actions)
            if steps:
                return Plan(actions[:steps], attempt + 1)
    return None


def steps_to_success(env: PushT, actions: np.ndarray) -> int | None:
    """After how many of the actions (L, 2) an environment ends in success, or None."""
    for i, action in enumerate(actions):
        _, _, terminated, _, _ = env.step(action)
        if terminated:
            return i + 1
    return None


def plan_episode(reset: dict, legacy_resets: bool = True, **options) -> Plan | None:
    """A plan for the episode that starts with `PushT.reset(**reset)`; `options` as in `plan`."""
    env = PushT("state", legacy_resets=legacy_resets)
    env.reset(**reset)
    state = state_of(env)

    def start(replay: PushT) -> None:
        replay.legacy_resets = legacy_resets
        replay.reset(**reset)

    return plan(state, reset.get("seed", 0), start=start, **options)


def _planned(reset: dict, **options) -> dict:
    """A line of the unfinished file."""
    clock = time.process_time()
    found = plan_episode(reset, **options)
    seconds = round(time.process_time() - clock, 2)
    actions = found.actions.tolist() if found else None
    return {"reset": reset, "attempts": found and found.attempts, "cpu_seconds": seconds, "actions": actions}


def _read_unfinished(path: Path, settings: dict) -> dict[str, dict]:
    """Episodes by their resets that an interrupted run with the same settings left; writes the settings otherwise."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []  # the last line may be torn: left out
    if not lines:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings) + "\n")
        return {}
    if (theirs := json.loads(lines[0])) != settings:
        differing = ", ".join(f"{name}={theirs.get(name)!r}" for name in settings if theirs.get(name) != settings[name])
        raise ValueError(f"{path} was begun with {differing}; use the same again, another --out, or delete it")
    path.write_bytes(b"\n".join(lines) + b"\n")
    return {json.dumps(episode["reset"]): episode for episode in map(json.loads, lines[1:])}


def plan_episodes(resets: Iterable[dict], path: Path, workers: int, **options) -> list[dict]:
    """Plan the episodes that begin so, `workers` at a time, and append each to the unfinished file as it comes.

    `resets` are arguments of `PushT.reset`, of plain values. Returns the episodes in their order: {"reset", "attempts",
    "cpu_seconds", "actions"}, where failures have no attempts and no actions.
    """
    resets = list(resets)
    search = options.get("search") or BeamSearch()
    settings = {"search": asdict(search), **{name: value for name, value in options.items() if name != "search"}}
    episodes = _read_unfinished(path, settings)
    missing = [reset for reset in resets if json.dumps(reset) not in episodes]
    console = Console(stderr=True)
    if len(missing) < len(resets):
        console.print(f"{len(resets) - len(missing)} of {len(resets)} episodes were planned before")
    workers = min(workers, len(missing))
    work = partial(_planned, **options)
    ignore_interrupts = (signal.signal, (signal.SIGINT, signal.SIG_IGN))
    with path.open("a") as file, multiprocessing.Pool(max(workers, 1), *ignore_interrupts) as pool:
        for episode in track(pool.imap_unordered(work, missing), "planning", len(missing), console=console):
            file.write(json.dumps(episode) + "\n")
            file.flush()
            episodes[json.dumps(episode["reset"])] = episode
    return [episodes[json.dumps(reset)] for reset in resets]


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m planning.planner", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=parquet_file, required=True, help="the Parquet file to write")
    parser.add_argument("--episodes", type=one_or_more, default=500, help="how many starts to plan for (default 500)")
    parser.add_argument(
        "--first-seed", type=start_seed, default=FIRST_SEED, help=f"of the starts (default {FIRST_SEED})"
    )
    parser.add_argument("--attempts", type=one_or_more, default=ATTEMPTS, help=f"searches at most (default {ATTEMPTS})")
    parser.add_argument("--workers", type=processes, default=os.cpu_count(), help="processes (default: one per core)")
    parser.add_argument(
        "--gym-resets", action="store_true", help="start as gym_pusht does for a seed, not as the paper (legacy resets)"
    )
    options = parser.parse_args(args)
    unfinished = options.out.with_suffix(".plans.jsonl")
    legacy = not options.gym_resets
    try:
        resets = [{"seed": seed} for seed in seeds_from(options.first_seed, options.episodes)]
        episodes = plan_episodes(resets, unfinished, options.workers, legacy_resets=legacy, attempts=options.attempts)
    except KeyboardInterrupt:
        sys.exit(f"interrupted; what is planned is in {unfinished}: the same command goes on from there")
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    solved = [episode for episode in episodes if episode["actions"]]
    if not solved:
        sys.exit(f"none of {len(episodes)} episodes was solved: nothing to record")
    figures = {
        "episodes_tried": len(episodes),
        "solved_at_the_first_attempt": sum(episode["attempts"] == 1 for episode in solved),
        "solved": len(solved),
        "mean_steps": round(float(np.mean([len(episode["actions"]) for episode in solved])), 1),
        "mean_cpu_seconds": round(float(np.mean([episode["cpu_seconds"] for episode in episodes])), 2),
    }
    rows = record(
        (Take(episode["reset"], np.array(episode["actions"])) for episode in solved),
        options.out,
        {
            "made_by": "python -m planning.planner",
            "search": asdict(BeamSearch()),
            "attempts_at_most": options.attempts,
            "legacy_resets": legacy,
            "first_seed": options.first_seed,
            **figures,
            "seed_of_each_episode": [episode["reset"]["seed"] for episode in solved],
        },
        legacy_resets=legacy,
    )
    unfinished.unlink()
    unsolved = [episode["reset"]["seed"] for episode in episodes if not episode["actions"]]
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items()))
    if unsolved:
        print(f"unsolved seeds: {unsolved}")
    print(f"{len(solved)} episodes ({rows} steps, {options.out.stat().st_size / 1e6:.2f} MB) in {options.out}")


if __name__ == "__main__":
    main()
