"""What a policy should be trained on to become better than its demonstrators: equal trainings on several data sets.

    python -m benchmarks.pusht_training_data

Makes the demonstrations that are needed with `cli.record`, `cli.dagger` and `planning.planner`, trains a policy of
`configs/pusht_beyond.yaml` on each set for the same number of steps, and lets it act on validation seeds. What is done
is kept in `--out`: after an interruption the same command goes on with the next training. The trainings:

    people                  the 206 human demonstrations, moved so that they end on the target
    planner                 plans alone, from the benchmark's starts
    planner after people    the first policy's weights, trained on plans
    own successes           the shortest success of several attempts of the shipped policy `pusht_human`
    and corrections         the same, and plans from where that policy failed
    own after people        own successes and corrections, starting from the first policy's weights
    planner as teacher      people and plans from states that the people's policy came to (DAgger)
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file

import train
from benchmarks.command import as_command
from callbacks.rollouts import VAL_SEEDS
from cli import dagger, record
from envs.arguments import one_or_more, whole_number
from planning import planner

CONFIG, PEOPLE = "configs/pusht_beyond.yaml", "lerobot/pusht_keypoints"
PEOPLES_POLICY = "pretrained/pusht_human"
METRICS = ("score", "success_rate", "mean_final_coverage")
PLANS, STARTS, ATTEMPTS, TEACHER_STARTS, FAILING_STARTS = 120, 300, 4, 40, 2500


class Training(NamedTuple):
    """What a policy is trained on, and from which other training's weights it starts."""

    parts: tuple[str, ...]
    after: str | None = None


TRAININGS = {
    "people": Training((PEOPLE,)),
    "planner": Training(("plans",)),
    "planner after people": Training(("plans",), after="people"),
    "own successes": Training(("successes",)),
    "and corrections": Training(("successes", "corrections")),
    "own after people": Training(("successes", "corrections"), after="people"),
    "planner as teacher": Training((PEOPLE, "lessons")),
}


def _call(command, *words) -> None:
    command.main([str(word) for word in words])


POLICY = ("--checkpoint", PEOPLES_POLICY)
# fmt: off
DATA = {  # what writes each file
    "plans": lambda out: _call(planner, "--episodes", PLANS, "--out", out),
    "lessons": lambda out: _call(
        dagger, *POLICY, "--seeds", TEACHER_STARTS, "--successes", "--after-steps", 30, 90, "--out", out
    ),
    "successes": lambda out: _call(
        record, *POLICY, "--seeds", STARTS, "--attempts", ATTEMPTS, "--keep", STARTS, "--out", out
    ),
    "corrections": lambda out: _call(dagger, *POLICY, "--seeds", FAILING_STARTS, "--out", out),
}
# fmt: on


def prepare(part: str, folder: Path) -> str:
    """The source of a part of the demonstrations, made where it is missing."""
    if part not in DATA:
        return part
    path = folder / f"{part}.parquet"
    if not path.exists():
        DATA[part](path)
    return str(path)


def train_policy(name: str, training: Training, folder: Path, options: argparse.Namespace) -> dict:
    """Train a policy; its figures on validation seeds, and what it was trained on."""
    sources = [prepare(part, folder / "data") for part in training.parts]
    overrides = {
        "trainer.max_steps": options.steps,
        "trainer.val_check_interval": options.steps,
        "trainer.num_sanity_val_steps": 0,
        "trainer.default_root_dir": folder / name.replace(" ", "-"),
        "trainer.callbacks.init_args.val_episodes": options.episodes,
        "data.source": json.dumps(sources),
        "data.align_ends": "true",
    }
    words = ["fit", "--config", CONFIG, *(f"--{key}={value}" for key, value in overrides.items())]
    if training.after:
        words += ["--init_from", str(weights(training.after, folder))]
    cli = train.main(words)
    demos = cli.datamodule.train_windows.demos
    measured = {metric: float(cli.trainer.callback_metrics[f"val/{metric}"]) for metric in METRICS}
    save_file(cli.model.state_dict(), weights(name, folder))
    return {**measured, "episodes": len(demos.starts), "mean_steps": float(demos.lengths.float().mean())}


def weights(training: str, folder: Path) -> Path:
    """Where the weights of a training are kept."""
    return folder / f"{training.replace(' ', '-')}.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pusht_training_data", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--steps", type=one_or_more, default=1500, help="optimizer steps of each (default 1500)")
    parser.add_argument(
        "--episodes",
        type=whole_number(1, len(VAL_SEEDS)),
        default=200,
        help="validation episodes of each (default 200)",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/pusht_training_data"), help="where everything is kept")
    options = parser.parse_args()
    figures = options.out / "figures.json"
    done = json.loads(figures.read_text()) if figures.exists() else {}
    for name, training in TRAININGS.items():
        if name not in done:
            done[name] = train_policy(name, training, options.out, options)
            figures.write_text(json.dumps(done, indent=2) + "\n")
    table = Table(
        "trained on", "episodes", "mean steps", *METRICS, title=f"{options.steps} steps, {options.episodes} episodes"
    )
    for name, row in done.items():
        table.add_row(
            name, str(row["episodes"]), f"{row['mean_steps']:.0f}", *(f"{row[metric]:.3f}" for metric in METRICS)
        )
    Console().print(table)


if __name__ == "__main__":
    as_command(main)
