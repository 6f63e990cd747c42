"""Turn finished runs into a folder of `pretrained/`: weights, config, and a card with the figures they reach.

    python -m benchmarks.publish mnist_mlp runs/mnist_mlp/version_0 runs/mnist_mlp/version_1 --minutes 2 --n 10000
    python -m benchmarks.publish mnist_mlp runs/repeat/mnist_mlp --minutes 2 --n 10000

The runs are of one config with different seeds; the folder that `train.py repeat` wrote stands for all of its. Tests
the best checkpoint of each as `train.py test` does, or the last one where the config monitors no metric, and writes

    pretrained/NAME/model.safetensors   the first run's weights, fp16, without those that serve training alone
    pretrained/NAME/config.yaml         its model, with what follows from its data, its data and callbacks: all that
                                        a test needs
    pretrained/NAME/card.json           metrics (of these weights), n, seeds, minutes, command, date, commit, machine;
                                        with several runs also mean_over_seeds and by_seed, the shipped run first
"""

import argparse
import datetime
import json
import subprocess
from pathlib import Path
from statistics import mean

import train
from benchmarks.command import as_command
from checkpoints.pretrained import trained_file
from cli.publication import machine, write_model

PRETRAINED = Path("pretrained")


def runs_in(place: Path) -> list[Path]:
    """The runs that `repeat` made in a folder; any other folder is one run."""
    report = place / "repeat.json"
    runs = json.loads(report.read_text())["runs"] if report.is_file() else []
    return [place / Path(run).name for run in runs] or [place]


def test(folder: Path) -> tuple[dict[str, float], str]:
    """The metrics of `train.py test` on a published folder, and the command that gives them."""
    args = ["test", "--config", f"{folder}/config.yaml", "--ckpt_path", f"{folder}/model.safetensors"]
    metrics = train.main(args).trainer.callback_metrics
    return {name: float(value) for name, value in metrics.items()}, "python train.py " + " ".join(args)


def put(run: Path, folder: Path) -> int:
    """Write a run's weights and config into a folder; returns the run's seed."""
    return write_model(run, folder, half=True)["seed_everything"]


def publish(name: str, runs: list[Path], minutes: float, n: int) -> Path:
    """Write pretrained/NAME; returns the folder."""
    folder = PRETRAINED / name
    folder.mkdir(parents=True, exist_ok=True)
    seeds, figures = [], []
    for run in reversed(runs):  # the first comes last: its weights stay
        seeds.insert(0, put(run, folder))
        metrics, command = test(folder)
        figures.insert(0, metrics)
    card = {
        "metrics": figures[0],
        "n": n,
        "seeds": seeds,
        "minutes": minutes,
        "command": command,
        "date": datetime.date.today().isoformat(),
        "commit": subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip(),
        "machine": machine(),
    }
    if len(runs) > 1:
        card["mean_over_seeds"] = {metric: mean(figure[metric] for figure in figures) for metric in metrics}
        card["by_seed"] = figures
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publish", description=__doc__.split("\n\n")[0])
    parser.add_argument("name", help="the folder to write in pretrained/")
    parser.add_argument("runs", type=Path, nargs="+", help="their folders, runs/CONFIG/VERSION or runs/repeat/CONFIG")
    parser.add_argument("--minutes", type=float, required=True, help="how long one training took")
    parser.add_argument("--n", type=int, required=True, help="test samples behind the figures")
    options = parser.parse_args()
    runs = [run for place in options.runs for run in runs_in(place)]
    for run in runs:
        try:
            trained_file(run)
        except FileNotFoundError as error:
            parser.error(str(error))
    print(publish(options.name, runs, options.minutes, options.n))


if __name__ == "__main__":
    as_command(main)
