"""A language model trained by `train.py fit` beside nanoGPT's own training script: equal network, equal minutes.

    python -m benchmarks.nanogpt --nanogpt path/to/nanoGPT --minutes 10

Both learn the same tokens of configs/text_decoder.yaml with its depth, width, heads, context, dropout and batch size,
and learned positions, as nanoGPT has. Ours trains as the config says besides that, for so many minutes. nanoGPT's
train.py trains with the options of its config/train_shakespeare_char.py, in float32 as it does on a CPU, and with a
schedule of as many steps as take so many minutes at the speed of its first ones. Each keeps the weights of its best
validation. Then both are measured by the same code on all blocks of the validation text.

Tokens a second are those of a median training step, validation left out.
"""

import argparse
import importlib.util
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
import yaml
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.command import as_command
from checkpoints.load_trained import load_trained
from cli.publication import machine
from datamodules.text import Text
from networks.vocabulary import Vocabulary

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "configs" / "text_decoder.yaml"
FIRST_STEPS = 20  # that tell how many nanoGPT takes in a minute
EVALUATIONS = 10  # of nanoGPT, and
EVALUATED = 20  # batches in each
# As in its config/train_shakespeare_char.py.
THEIRS = {"learning_rate": 1e-3, "min_lr": 1e-4, "beta2": 0.99, "warmup_iters": 100, "gradient_accumulation_steps": 1}
LAST_WORDS = 600  # characters


class StepSeconds(L.Callback):
    """Writes {"total": of the training, "steps": seconds of each training step} to a JSON file."""

    def __init__(self, out: str):
        self.out, self.steps = out, []

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.began = time.perf_counter()

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        self.step_began = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *rest: Any) -> None:
        self.steps.append(time.perf_counter() - self.step_began)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        total = time.perf_counter() - self.began
        Path(self.out).write_text(json.dumps({"total": total, "steps": self.steps}))


def run(words: list[str], folder: Path) -> str:
    """What a command said. Raises ValueError with its last words where it fails."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{' '.join(words[:3])} failed: {(done.stdout + done.stderr)[-LAST_WORDS:]}")
    return done.stdout


def text_of(config: dict[str, Any]) -> Text:
    """The config's data, read."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(L.LightningDataModule, "data")
    data = parser.instantiate(parser.parse_object({"data": config["data"]})).data
    data.setup()
    return data


def ours(minutes: float, folder: Path) -> dict[str, Any]:
    """Train by `train.py fit`; the run's seconds, and its network at its best."""
    seconds = folder / "seconds.json"
    words = [sys.executable, str(ROOT / "train.py"), "fit", "--config", str(CONFIG), "--run", "ours"]
    words += ["--model.network.positions", "networks.positions.LearnedPositions"]
    hours, seconds_left = divmod(max(1, round(60 * minutes)), 3600)
    words += ["--trainer.max_epochs", "-1"]
    words += ["--trainer.max_time", f"00:{hours:02}:{seconds_left // 60:02}:{seconds_left % 60:02}"]
    words += ["--trainer.callbacks", "benchmarks.nanogpt.StepSeconds", "--trainer.callbacks.out", str(seconds)]
    run(words, folder)
    trained = load_trained(folder / "runs" / CONFIG.stem / "ours")
    return {**json.loads(seconds.read_text()), "network": trained.network, "logits": trained.network}


def nanogpt(path: Path, minutes: float, config: dict[str, Any], data: Text, folder: Path) -> dict[str, Any]:
    """Train by nanoGPT's train.py; the run's seconds, and its network at its best."""
    network = config["model"]["init_args"]["network"]["init_args"]
    tokens = folder / "data" / "text"
    tokens.mkdir(parents=True)
    for name, ids in {"train": data.train_tokens, "val": data.val_blocks.tokens}.items():
        ids.numpy().astype(np.uint16).tofile(tokens / f"{name}.bin")
    (tokens / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": data.vocab_size}))
    (folder / "configurator.py").symlink_to((path / "configurator.py").resolve())
    shape = {"n_layer": network["depth"], "n_head": network["heads"], "n_embd": network["width"]}
    sizes = {"block_size": data.hparams.block_size, "batch_size": data.hparams.batch_size}
    fixed = {"dataset": "text", "device": "cpu", "dtype": "float32", "compile": False, "bias": True, "log_interval": 1}
    options = {**shape, **sizes, **fixed, **THEIRS, "dropout": float(network.get("dropout", 0.0))}

    def train(steps: int, **more: Any) -> list[float]:
        given = {**options, "max_iters": steps, "lr_decay_iters": steps, "always_save_checkpoint": False, **more}
        words = [f"--{name}={value}" for name, value in given.items()]
        said = run([sys.executable, str((path / "train.py").resolve()), *words], folder)
        return [float(found) / 1000 for found in re.findall(r"^iter .* time ([\d.]+)ms", said, re.M)]

    step = median(train(FIRST_STEPS, eval_interval=10 * FIRST_STEPS, eval_iters=1)[1:])
    steps = max(2, round(60 * minutes / step))
    every = max(1, steps // EVALUATIONS)
    seconds = train(steps, eval_interval=every, eval_iters=EVALUATED)
    module = model_of(path)
    kept = torch.load(folder / "out" / "ckpt.pt", map_location="cpu", weights_only=True)
    trained = module.GPT(module.GPTConfig(**kept["model_args"]))
    trained.load_state_dict(kept["model"])
    plain = [taken for number, taken in enumerate(seconds) if number % every]
    return {
        "total": sum(seconds),
        "steps": plain or seconds,
        "network": trained,
        "logits": lambda ids: trained(ids, ids)[0],  # without targets it gives the last token's alone
    }


def model_of(path: Path) -> ModuleType:
    """nanoGPT's model.py."""
    spec = importlib.util.spec_from_file_location("nanogpt_model", path / "model.py")
    if spec is None or spec.loader is None or not (path / "train.py").exists():
        raise FileNotFoundError(f"{path} is not nanoGPT: it holds no model.py and train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@torch.no_grad()
def loss(network: nn.Module, logits: Callable[[Tensor], Tensor], data: Text) -> tuple[float, float]:
    """Nats of a token, and bits of a character, over all blocks of the validation text."""
    network.eval()
    nats, tokens, characters = 0.0, 0, 0
    counts = Vocabulary(data.tokenizer).characters()
    for batch in data.val_dataloader():
        ids = batch["tokens"]
        seen, targets = ids[:, :-1].contiguous(), ids[:, 1:]
        nats += F.cross_entropy(logits(seen).flatten(0, 1), targets.flatten(), reduction="sum").item()
        tokens += targets.numel()
        characters += int(counts[targets].sum())
    return nats / tokens, nats / np.log(2) / characters


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nanogpt", description=__doc__.split("\n\n")[0])
    parser.add_argument("--nanogpt", type=Path, required=True, help="a checkout of nanoGPT")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, each")
    given = parser.parse_args()
    if not given.minutes > 0:
        parser.error(f"--minutes {given.minutes} must be more than 0")
    model_of(given.nanogpt)
    config = yaml.safe_load(CONFIG.read_text())
    data = text_of(config)
    table = Table("", "parameters", "minutes", "steps", "tokens/s", "val loss, nats a token", "bits a character")
    step_tokens = data.hparams.batch_size * data.hparams.block_size
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        contestants = {
            "nanoGPT": nanogpt(given.nanogpt, given.minutes, config, data, Path(first)),
            "ours": ours(given.minutes, Path(second)),
        }
    for name, trained in contestants.items():
        nats, bits = loss(trained["network"], trained["logits"], data)
        parameters = sum(weight.numel() for weight in trained["network"].parameters())
        speed = step_tokens / median(trained["steps"])
        figures = (f"{parameters:,}", f"{trained['total'] / 60:.1f}", str(len(trained["steps"])), f"{speed:,.0f}")
        table.add_row(name, *figures, f"{nats:.3f}", f"{bits:.3f}")
    console = Console(width=120)
    console.print(machine())
    console.print(table)


if __name__ == "__main__":
    as_command(main)
