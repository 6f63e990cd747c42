"""Turn a finished run into a folder of `pretrained/`: weights, config, and a card with the figures they reach.

    python -m benchmarks.publish runs/pusht/version_0 pusht --minutes 40

Tests the run's best checkpoint as `train.py test` does, and writes

    pretrained/NAME/model.safetensors   the weights, fp16
    pretrained/NAME/config.yaml         the run's model, data and callbacks: all that a test needs
    pretrained/NAME/card.json           metrics, n, seeds, minutes, command, date, commit, machine
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file

import train

PRETRAINED = Path("pretrained")


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
    """What of a run's full config `train.py test` needs: the model, the data, and Firstlight's own callbacks."""
    own = [c for c in config["trainer"]["callbacks"] or [] if c["class_path"].startswith("callbacks.")]
    return {
        "seed_everything": config["seed_everything"],
        "model": config["model"],
        "data": config["data"],
        "trainer": {"precision": config["trainer"]["precision"], "callbacks": own},
    }


def publish(checkpoint: Path, config: Path, name: str, minutes: float, n: int, seed: int) -> Path:
    """Write pretrained/NAME; returns the folder."""
    folder = PRETRAINED / name
    folder.mkdir(parents=True, exist_ok=True)
    weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    save_file({key: value.half().contiguous() for key, value in weights.items()}, folder / "model.safetensors")
    (folder / "config.yaml").write_text(
        yaml.safe_dump(for_testing(yaml.safe_load(config.read_text())), sort_keys=False)
    )
    metrics, command = test(folder)
    card = {
        "metrics": metrics,
        "n": n,
        "seeds": [seed],
        "minutes": minutes,
        "command": command,
        "date": datetime.date.today().isoformat(),
        "commit": subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip(),
        "machine": machine(),
    }
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publish", description=__doc__.split("\n\n")[0])
    parser.add_argument("run", type=Path, help="the run's folder, runs/CONFIG/VERSION")
    parser.add_argument("name", help="the folder to write in pretrained/")
    parser.add_argument("--minutes", type=float, required=True, help="how long the training took")
    parser.add_argument("--n", type=int, default=500, help="test samples behind the figures")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training run")
    options = parser.parse_args()
    checkpoint = options.run / "checkpoints" / "best.ckpt"
    if not checkpoint.exists():
        parser.error(f"{checkpoint} does not exist; name the folder of a finished run")
    print(publish(checkpoint, options.run / "config.yaml", options.name, options.minutes, options.n, options.seed))


if __name__ == "__main__":
    main()
