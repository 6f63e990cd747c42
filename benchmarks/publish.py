"""Turn finished runs into a folder of `pretrained/`: weights, config, and a card with the figures they reach.

    python -m benchmarks.publish mnist_mlp runs/mnist_mlp/version_0 runs/mnist_mlp/version_1 --minutes 2 --n 10000

The runs are of one config with different seeds. Tests the best checkpoint of each as `train.py test` does, or the last
one where the config monitors no metric, and writes

    pretrained/NAME/model.safetensors   the first run's weights, fp16, without those that serve training alone
    pretrained/NAME/config.yaml         its model, with what follows from its data, its data and callbacks: all that
                                        a test needs
    pretrained/NAME/card.json           metrics (of these weights), n, seeds, minutes, command, date, commit, machine;
                                        with several runs also mean_over_seeds and by_seed, the shipped run first
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
from pathlib import Path
from statistics import mean

import yaml
from safetensors.torch import save_file

import train
from benchmarks.command import as_command
from checkpoints.load_trained import load_trained
from checkpoints.pretrained import inference_weights, read_config

PRETRAINED = Path("pretrained")
FOR_TRAINING = ("callbacks.weight_averaging", "callbacks.compile_networks", "callbacks.float32_matmul_precision")
CHECKPOINTS = ("best.ckpt", "last.ckpt")  # the first one that a run has is published


def test(folder: Path) -> tuple[dict[str, float], str]:
    """The metrics of `train.py test` on a published folder, and the command that gives them."""
    args = ["test", "--config", f"{folder}/config.yaml", "--ckpt_path", f"{folder}/model.safetensors"]
    metrics = train.main(args).trainer.callback_metrics
    return {name: float(value) for name, value in metrics.items()}, "python train.py " + " ".join(args)


def machine() -> str:
    """The processor, in words."""
    info = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return f"{name.group(1) if name else platform.processor()}, {os.cpu_count()} cores"


def for_testing(config: dict) -> dict:
    """What of a run's full config `train.py test` needs: the model, the data, and Firstlight's own callbacks that do
    something at test.

    The model's part also holds what follows from its data, as a run's config.yaml does: it can be built without them.
    """
    given = [c for c in config["trainer"]["callbacks"] or [] if not c["class_path"].startswith(FOR_TRAINING)]
    own = [c for c in given if c["class_path"].startswith("callbacks.")]
    return {
        "seed_everything": config["seed_everything"],
        "model": config["model"],
        "data": config["data"],
        "trainer": {"precision": config["trainer"]["precision"], "callbacks": own},
    }


def checkpoint(run: Path) -> Path:
    """The one to publish. Raises FileNotFoundError where a run has none."""
    for name in CHECKPOINTS:
        if (path := run / "checkpoints" / name).exists():
            return path
    raise FileNotFoundError(f"{run / 'checkpoints'} holds no {' or '.join(CHECKPOINTS)}; name folders of finished runs")


def put(run: Path, folder: Path) -> int:
    """Write a run's weights and config into a folder; returns the run's seed."""
    config = for_testing(read_config(run / "config.yaml"))
    weights = inference_weights(load_trained(checkpoint(run)))
    halved = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    save_file({key: value.contiguous() for key, value in halved.items()}, folder / "model.safetensors")
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return config["seed_everything"]


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
    parser.add_argument("runs", type=Path, nargs="+", help="the runs' folders, runs/CONFIG/VERSION")
    parser.add_argument("--minutes", type=float, required=True, help="how long one training took")
    parser.add_argument("--n", type=int, required=True, help="test samples behind the figures")
    options = parser.parse_args()
    for run in options.runs:
        try:
            checkpoint(run)
        except FileNotFoundError as error:
            parser.error(str(error))
    print(publish(options.name, options.runs, options.minutes, options.n))


if __name__ == "__main__":
    as_command(main)
