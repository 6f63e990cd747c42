"""Our GAN against the DCGAN recipe of the PyTorch examples on SVHN, on this machine, in one run.

    python -m benchmarks.gan_svhn                        speed of a training step only
    python -m benchmarks.gan_svhn --minutes 60           and both trained for as many minutes each, one after the other

Speed: the recipe's networks and settings (64 images, Adam, binary cross-entropy of a sigmoid, float32) in a loop as
the example's, against the same networks trained by `lightning_modules.gan.GAN` in the same type and in bf16-mixed. The
contestants take turns; figures are medians over batches.

Quality: `configs/svhn_gan.yaml` against `configs/svhn_dcgan.yaml`, which is the recipe trained by our module in float32
and so takes more steps in its minutes than the example would. Ours fits its schedule into the minutes, by the time that
its first batches take. Both are measured as `train.py test` does (`callbacks.sample_quality`).
"""

import argparse
import logging
import math
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import cycle, islice
from pathlib import Path
from statistics import mean, median

import lightning as L
import torch
from lightning.pytorch.callbacks import Timer
from rich.console import Console
from rich.table import Table
from torch import nn
from torchvision.io import write_png

from benchmarks.cifar10_speed import built
from benchmarks.command import as_command
from callbacks.sample_grid import draw, grid
from callbacks.sample_quality import SampleQuality
from checkpoints.load_trained import build
from checkpoints.pretrained import read_config
from cli.freed_memory import keep_freed_memory
from datamodules.svhn import SVHN
from lightning_modules.gan import GAN
from networks.image_range import from_pixels
from optim.lr_schedule import Constant

OURS, RECIPE = Path("configs/svhn_gan.yaml"), Path("configs/svhn_dcgan.yaml")
CLASSIFIER = "pretrained/svhn_classifier"
OUT = Path("runs/gan_svhn")
QUIET = {"enable_checkpointing": False, "enable_model_summary": False}
BETAS = (0.5, 0.999)  # of the example's Adam
BATCHES = 20  # of each contestant, in a round; the first two do not count


class Clock(L.Callback):
    """Seconds of each batch."""

    def __init__(self):
        self.seconds: list[float] = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self._start = time.perf_counter()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.seconds.append(time.perf_counter() - self._start)


def seconds_of_ours(module: GAN, data: SVHN, precision: str, batches: int = BATCHES) -> list[float]:
    """Of each batch but the first two."""
    clock = Clock()
    options = {"accelerator": "cpu", "precision": precision, "max_steps": 2 * batches, "max_epochs": -1}
    trainer = L.Trainer(**options, **QUIET, logger=False, enable_progress_bar=False, callbacks=[clock])
    trainer.fit(module, data.train_dataloader())
    return clock.seconds[2:]


def seconds_of_the_recipe(module: GAN, data: SVHN) -> list[float]:
    """The example's loop on networks of the same layers, in the memory format that torch takes by default."""
    generator = module.generator.layers
    discriminator = nn.Sequential(module.discriminator.layers, module.discriminator.head, nn.Sigmoid())
    hp, loss, seconds = module.hparams, nn.BCELoss(), []
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=hp.generator_lr, betas=BETAS)
        for network in (discriminator, generator)
    ]
    for batch in _batches(data, BATCHES):
        start = time.perf_counter()
        real = from_pixels(batch["image"])
        is_real, is_fake = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        discriminator.zero_grad()
        loss(discriminator(real), is_real).backward()
        fake = generator(torch.randn(len(real), module.generator.latent, 1, 1))
        loss(discriminator(fake.detach()), is_fake).backward()
        optimizers[0].step()
        generator.zero_grad()
        loss(discriminator(fake), is_real).backward()
        optimizers[1].step()
        seconds.append(time.perf_counter() - start)
    return seconds[2:]


def _batches(data: SVHN, count: int) -> Iterator[dict]:
    return islice(cycle(data.train_dataloader()), count)


def speed(rounds: int) -> Table:
    config = read_config(RECIPE)
    data = built(SVHN, config["data"])
    data.setup("fit")
    seconds: dict[str, list[float]] = {"example's loop, float32": [], "ours, float32": [], "ours, bf16-mixed": []}
    example, *mine = seconds
    for _ in range(rounds):
        seconds[example] += seconds_of_the_recipe(build(config["model"]), data)
        for name, precision in zip(mine, ("32-true", "bf16-mixed"), strict=True):
            seconds[name] += seconds_of_ours(build(config["model"]), data, precision)
    size = config["data"]["init_args"]["batch_size"]
    table = Table("training step", "samples/s", "ratio", title=f"equal networks, {torch.get_num_threads()} threads")
    for name, times in seconds.items():
        table.add_row(name, f"{size / median(times):.0f}", f"{median(seconds[example]) / median(times):.2f}")
    return table


def trained(path: Path, minutes: float, seed: int, samples: int) -> dict[str, float]:
    """Metrics of a config after so many minutes of training."""
    config = read_config(path)
    precision = config["trainer"].get("precision", "32-true")
    data = built(SVHN, config["data"])
    data.setup("fit")
    L.seed_everything(seed, verbose=False)
    per_batch = mean(seconds_of_ours(build(config["model"]), data, precision, batches=12))
    batches = max(1, math.floor(60 * minutes / per_batch))
    L.seed_everything(seed, verbose=False)
    module, timer = build(config["model"]), Timer(timedelta(minutes=minutes))
    options = {"accelerator": "cpu", "precision": precision, "max_epochs": -1}
    if not all(isinstance(schedule, Constant) for schedule in module.lr_schedules):  # a constant rate has no end
        options["max_steps"] = 2 * batches
    quality = SampleQuality(CLASSIFIER, samples)
    trainer = L.Trainer(
        **options, **QUIET, logger=False, callbacks=[timer, quality], limit_val_batches=0, default_root_dir=OUT
    )
    trainer.fit(module, data)
    (metrics,) = trainer.test(module, data, verbose=False)
    OUT.mkdir(parents=True, exist_ok=True)
    write_png(grid(draw(module.eval(), len(data.class_names), 8)), str(OUT / f"{path.stem}-seed{seed}.png"))
    return metrics | {"minutes": timer.time_elapsed("train") / 60, "batches": trainer.global_step // 2}


def quality(minutes: float, seed: int, samples: int) -> Table:
    metrics = {path.stem: trained(path, minutes, seed, samples) for path in (RECIPE, OURS)}
    recipe, ours = metrics.values()
    table = Table("", *metrics, "ratio", title=f"{minutes:g} minutes each, seed {seed}, {samples} samples")
    for name in recipe:
        ratio = f"{ours[name] / recipe[name]:.3f}" if name in ("test/fid", "test/fid_matched", "test/kid") else ""
        table.add_row(name, f"{recipe[name]:.3f}", f"{ours[name]:.3f}", ratio)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of the speed measurement")
    parser.add_argument("--minutes", type=float, default=0, help="of each training; 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=10_000, help="behind the figures")
    args = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    keep_freed_memory()  # as train.py does
    Console().print(speed(args.rounds))
    if args.minutes:
        Console().print(quality(args.minutes, args.seed, args.samples))


if __name__ == "__main__":
    as_command(main)
