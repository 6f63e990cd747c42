"""Solve Push-T by search, and write demonstrations: `python -m planning.planner --episodes 500 --out demos`.

From any state a plan is searched for in the exact dynamics (`planning.beam_search`) and then replayed in the
environment itself: every plan that is returned or written has succeeded there. Episodes are planned on all cores, and
kept in a file beside `--out` until all are done: after an interruption, the same command goes on where it stopped.
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
from typing import Any, NamedTuple, TypedDict

import numpy as np
from rich.console import Console
from rich.progress import track

import limits
from envs.arguments import (
    FIRST_RECORDING_SEED,
    megabytes,
    one_or_more,
    processes,
    recording,
    seeds_from,
    start_seed,
)
from envs.physics import STATE_SIZE, get_state, set_state
from envs.pusht import PushT, finite_vector
from envs.recording import EpisodeActions, record
from planning.beam_search import BeamSearch

ATTEMPTS = 4
REPLAYED = 8  # plans of one search that are tried in the environment


class Plan(NamedTuple):
    """What solves an episode: the environment ends in success with the last action."""

    actions: np.ndarray  # (L, 2) targets of the pointer, pixels
    attempts: int  # how many searches it took


class PlannedEpisode(TypedDict):
    """An episode that was planned for, in plain values; `attempts` and `actions` are None where every search failed."""

    reset: dict[str, Any]  # arguments of `PushT.reset`
    attempts: int | None
    cpu_seconds: float
    actions: list[list[float]] | None  # (L, 2)


def plan(
    state: np.ndarray,
    seed: int = 0,
    attempts: int = ATTEMPTS,
    search: BeamSearch | None = None,
    start: Callable[[PushT], None] | None = None,
) -> Plan | None:
    """Actions that lead from a state (10,), `envs.physics.get_state(env)`, to success; None if no search found any.

    Every attempt searches with other random numbers; `seed` draws them all. Plans are replayed in an environment that
    `start` brings to its beginning; by default, it is placed into the state.
    """
    limits.whole(attempts=attempts)
    state = finite_vector(state, STATE_SIZE, "a plan starts from the 10 finite numbers of envs.physics.get_state(env)")
    env, search = PushT("state"), search or BeamSearch()
    for attempt in range(attempts):
        for actions in search.plans(state, seed=[seed, attempt])[:REPLAYED]:
            if start:
                start(env)
            else:
                set_state(env, state)
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


def plan_episode(
    reset: dict[str, Any], legacy_resets: bool = True, attempts: int = ATTEMPTS, search: BeamSearch | None = None
) -> Plan | None:
    """A plan for the episode that starts with `PushT.reset(**reset)`, from at most so many searches."""
    env = PushT("state", legacy_resets=legacy_resets)
    env.reset(**reset)
    state = get_state(env)

    def start(replay: PushT) -> None:
        replay.legacy_resets = legacy_resets
        replay.reset(**reset)

    return plan(state, reset.get("seed", 0), attempts, search, start)


def _planned(reset: dict[str, Any], legacy_resets: bool, attempts: int, search: BeamSearch | None) -> PlannedEpisode:
    clock = time.process_time()
    found = plan_episode(reset, legacy_resets, attempts, search)
    return {
        "reset": reset,
        "attempts": found.attempts if found else None,
        "cpu_seconds": round(time.process_time() - clock, 2),
        "actions": found.actions.tolist() if found else None,
    }


def _read_unfinished(path: Path, settings: dict[str, Any]) -> dict[str, PlannedEpisode]:
    """Episodes by their resets that an interrupted run with the same settings left; begins the file otherwise."""
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


def plan_episodes(
    resets: Iterable[dict[str, Any]],
    path: Path,
    workers: int,
    legacy_resets: bool = True,
    attempts: int = ATTEMPTS,
    search: BeamSearch | None = None,
) -> list[PlannedEpisode]:
    """Plan the episodes that begin with these arguments of `PushT.reset` (plain values); in their order.

    `workers` processes plan. Each episode is appended to the file `path` as soon as it is planned, and taken from there
    when the same is asked for again; ValueError where the file was begun with other settings.
    """
    resets = list(resets)
    settings = {"search": asdict(search or BeamSearch()), "legacy_resets": legacy_resets, "attempts": attempts}
    episodes = _read_unfinished(path, settings)
    missing = [reset for reset in resets if json.dumps(reset) not in episodes]
    console = Console(stderr=True)
    if len(missing) < len(resets):
        console.print(f"{len(resets) - len(missing)} of {len(resets)} episodes were planned before")
    workers = min(workers, len(missing))
    work = partial(_planned, legacy_resets=legacy_resets, attempts=attempts, search=search)
    with path.open("a") as file, multiprocessing.Pool(max(workers, 1), _ignore_interrupts) as pool:
        for episode in track(pool.imap_unordered(work, missing), "planning", len(missing), console=console):
            file.write(json.dumps(episode) + "\n")
            file.flush()
            episodes[json.dumps(episode["reset"])] = episode
    return [episodes[json.dumps(reset)] for reset in resets]


def _ignore_interrupts() -> None:
    """Ctrl-C ends the process that waits for the workers, which then ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main(args: list[str] | None = None) -> None:
    """`python -m planning.planner`."""
    parser = argparse.ArgumentParser(prog="python -m planning.planner", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=recording, required=True, help="the folder, or .parquet file, to write")
    parser.add_argument("--episodes", type=one_or_more, default=500, help="how many starts to plan for (default 500)")
    parser.add_argument(
        "--first-seed",
        type=start_seed,
        default=FIRST_RECORDING_SEED,
        help=f"of the starts (default {FIRST_RECORDING_SEED})",
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
    solved = [(episode, np.array(episode["actions"])) for episode in episodes if episode["actions"]]
    if not solved:
        sys.exit(f"none of {len(episodes)} episodes was solved: nothing to record")
    figures = {
        "episodes_tried": len(episodes),
        "solved_at_the_first_attempt": sum(episode["attempts"] == 1 for episode, _ in solved),
        "solved": len(solved),
        "mean_steps": round(float(np.mean([len(actions) for _, actions in solved])), 1),
        "mean_cpu_seconds": round(float(np.mean([episode["cpu_seconds"] for episode in episodes])), 2),
    }
    rows = record(
        (EpisodeActions(episode["reset"], actions) for episode, actions in solved),
        options.out,
        {
            "made_by": "python -m planning.planner",
            "search": asdict(BeamSearch()),
            "attempts_at_most": options.attempts,
            "legacy_resets": legacy,
            "first_seed": options.first_seed,
            **figures,
            "seed_of_each_episode": [episode["reset"]["seed"] for episode, _ in solved],
        },
        legacy_resets=legacy,
    )
    unfinished.unlink()
    unsolved = [episode["reset"]["seed"] for episode in episodes if not episode["actions"]]
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items()))
    if unsolved:
        print(f"unsolved seeds: {unsolved}")
    print(f"{len(solved)} episodes ({rows} steps, {megabytes(options.out):.2f} MB) in {options.out}")


if __name__ == "__main__":
    main()
