"""The folder of a published model.

model.safetensors   the weights that inference needs
config.yaml         the model with what follows from its data, its data and callbacks: all that a test needs
training.yaml       the run's whole config: `firstlight fit --config training.yaml` trains it again
card.json           the figures that it reaches, and how they were measured
README.md           its card (`checkpoints.model_card`)
sample.png, .mp4    the image or video that its test made, where it made one
"""

import datetime
import json
import os
import platform
import re
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save_file

from checkpoints.hub import WEIGHTS
from checkpoints.load_trained import load_trained
from checkpoints.model_card import model_card, without_places
from checkpoints.pretrained import inference_weights, read_config, trained_file
from checkpoints.run_model import config_beside
from checkpoints.runs import CONFIG
from cli.firstlight_cli import FirstlightCLI
from cli.usage import version

FOR_TRAINING = ("callbacks.weight_averaging", "callbacks.compile_networks", "callbacks.float32_matmul_precision")
CARD, TRAINING = "card.json", "training.yaml"
SHOWN = ("*.mp4", "*.png")  # a video says more


def for_testing(config: dict[str, Any]) -> dict[str, Any]:
    """What of a run's full config `test` needs.

    That is the model, the data, and those of Firstlight's own callbacks that do something at test. The model's part
    also holds what follows from its data, as a run's config.yaml does: it can be built without them.
    """
    given = [c for c in config["trainer"]["callbacks"] or [] if not c["class_path"].startswith(FOR_TRAINING)]
    own = [c for c in given if c["class_path"].startswith("callbacks.")]
    return {
        "seed_everything": config["seed_everything"],
        "model": config["model"],
        "data": config["data"],
        "trainer": {"precision": config["trainer"]["precision"], "callbacks": own},
    }


def write_model(run: Path, folder: Path, half: bool = False) -> dict[str, Any]:
    """Write weights and config of a run, a checkpoint or a published folder into a folder; returns the config.

    Args:
        run: as `trained_file` takes it.
        folder: that exists.
        half: whether the weights become fp16.

    Raises as `load_trained`, and ValueError for a config that no run wrote.
    """
    path = trained_file(run)
    module, place = load_trained(path), config_beside(path)
    assert place is not None  # or it would not be loaded
    config = read_config(place)
    try:
        tested = for_testing(config)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{place} is not that of a run: it lacks {error}; name a run's folder") from error
    weights = inference_weights(module)
    if half:
        weights = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    save_file({key: value.contiguous() for key, value in weights.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(yaml.safe_dump(tested, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return config


def publish(run: Path, folder: Path, name: str, licence: str, media: Path | None = None) -> None:
    """Write the folder of a published model; what has a card.json already is not tested again.

    Args:
        run: a run's folder, or a published one.
        folder: to write, which exists and is empty.
        name: of the model, "owner/name" where it goes to the Hub.
        licence: of the weights, as the Hub names it.
        media: an image or video in place of the test's own.

    Raises as `write_model`, and what a test raises.
    """
    config = write_model(run, folder)
    source = trained_file(run).parent
    if (source / CARD).is_file():
        card = json.loads((source / CARD).read_text(encoding="utf-8"))
        for file in [source / TRAINING, *source.glob("sample.*")]:
            if file.is_file():
                shutil.copy(file, folder)
    else:
        (folder / TRAINING).write_text(_plain_yaml(config), encoding="utf-8")
        card = measured(folder, config["seed_everything"])
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    if media:
        for file in folder.glob("sample.*"):
            file.unlink()
        shutil.copy(media, folder / f"sample{media.suffix.lower()}")
    shared = without_places(read_config(folder / CONFIG))
    (folder / CONFIG).write_text(_plain_yaml(shared), encoding="utf-8")
    shown = next((file.name for file in folder.glob("sample.*")), None)
    again = f"firstlight fit --config {TRAINING}" if (folder / TRAINING).is_file() else None
    model_card(name, load_trained(folder), shared, card, licence, shown, again).save(folder / "README.md")


def measured(folder: Path, seed: int) -> dict[str, Any]:
    """The card of a model: what `test` says of a folder's weights. What it shows is copied there."""
    words = ["test", "--config", str(folder / CONFIG), "--ckpt_path", str(folder / WEIGHTS)]
    with tempfile.TemporaryDirectory() as place, ExitStack() as held:
        # On one device: further processes would each begin with this command.
        tester = FirstlightCLI([*words, f"--trainer.default_root_dir={place}", "--trainer.devices=1"], held)
        metrics = {name: float(value) for name, value in tester.trainer.callback_metrics.items()}
        found = [file for pattern in SHOWN for file in sorted(Path(place).rglob(pattern))]
        if found:
            shutil.copy(found[0], folder / f"sample{found[0].suffix}")
    return {
        "metrics": metrics,
        "seeds": [seed],
        "command": f"firstlight test --config {CONFIG} --ckpt_path {WEIGHTS}",
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": version(),
    }


def machine() -> str:
    """The processor, in words."""
    info = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return f"{name.group(1) if name else platform.processor()}, {os.cpu_count()} cores"


def _plain_yaml(config: dict[str, Any]) -> str:
    return yaml.safe_dump(without_places(config), sort_keys=False, allow_unicode=True)
