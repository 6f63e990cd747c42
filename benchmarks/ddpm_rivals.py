"""CIFAR-10 by diffusion in equal time on one CPU: ours against two libraries, images a second and FID.

    python -m benchmarks.ddpm_rivals --minutes 30

- ours: the network and training of configs/cifar10_ddpm.yaml, under autocast to bfloat16 where the CPU has it;
- diffusers: `UNet2DModel` of the width whose parameters are nearest in number, noise prediction, its DDPMScheduler to
  train and its DDIMScheduler to draw;
- denoising-diffusion-pytorch: its class-conditional Unet and GaussianDiffusion with default arguments.

A rival whose package is missing is left out with a line that says so. The rivals run in float32, as they ship, with
Adam at 1e-4, their examples' rate; ours follows its own schedule, which reaches 0 at the end of the time. All see the
same flipped images in batches of 64 and average their weights by the same rule. They take turns of half a minute in
one process; only their own steps count. Then each draws with its own sampler in 20 steps, without guidance.
"""

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from benchmarks.command import as_command
from benchmarks.sample_measures import BATCH, Judge
from cli.freed_memory import keep_freed_memory
from cli.precision import cpu_has_bfloat16
from lightning_modules.ddpm import DDPM
from networks.image_range import from_pixels, to_pixels
from optim.lr_schedule import WarmupCosine
from optim.parameter_groups import no_decay_on_vectors

IMAGES = 64  # in a batch
TURN = 30.0  # seconds
STEPS = 20  # of sampling


class Contestant(NamedTuple):
    """A model in training. `loss(uint8 images, labels)`; `sample(averaged model, labels) -> uint8 images`."""

    model: nn.Module
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    loss: Callable[[Tensor, Tensor], Tensor]
    sample: Callable[[nn.Module, Tensor], Tensor]
    rate: Callable[[float], float]  # share of the learning rate, by the share of the time that has passed


def average(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
    """An exponential average over as much as a tenth of all steps so far, 1,000 at most."""
    torch._foreach_lerp_(averaged, current, max(1 / 1000, 9 / (10 + int(count))))


def contestant(model, optimizer, loss, sample, rate=lambda share: 1.0) -> Contestant:
    return Contestant(model, AveragedModel(model, multi_avg_fn=average), optimizer, loss, sample, rate)


def ours() -> Contestant:
    model = DDPM()

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        with autocast(images.device):
            return model.loss(images, labels)

    def sample(averaged: nn.Module, labels: Tensor) -> Tensor:
        with autocast(labels.device):
            return averaged.sample(labels, guidance_scale=1.0, sampling_steps=STEPS)

    optimizer = torch.optim.AdamW(no_decay_on_vectors(model), model.hparams.lr, betas=(0.9, 0.99), fused=True)
    rate = WarmupCosine(warmup=0.02)  # DDPM's default
    return contestant(model, optimizer, loss, sample, lambda share: rate(int(1000 * share), 1000))


def autocast(device: torch.device) -> torch.autocast:
    """To bfloat16, but on a CPU without it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu" or cpu_has_bfloat16())


def diffusers_unet(parameters: int) -> Contestant:
    """The DDPM paper's shape, as wide as `parameters` allow."""
    from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel

    def build(width: int) -> nn.Module:
        return UNet2DModel(
            sample_size=32,
            block_out_channels=(width, 2 * width, 2 * width, 2 * width),
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            num_class_embeds=10,
        )

    def size(width: int) -> int:
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in build(width).parameters())

    model = build(min(range(32, 129, 32), key=lambda width: abs(size(width) - parameters)))
    noising = DDPMScheduler(1000)

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        x0 = from_pixels(images)
        noise, t = torch.randn_like(x0), torch.randint(1000, (len(x0),), device=x0.device)
        return F.mse_loss(model(noising.add_noise(x0, noise, t), t, class_labels=labels).sample, noise)

    def sample(averaged: nn.Module, labels: Tensor) -> Tensor:
        walk = DDIMScheduler(1000)
        walk.set_timesteps(STEPS)
        x = torch.randn(len(labels), 3, 32, 32, device=labels.device)
        for t in walk.timesteps:
            x = walk.step(averaged(x, t, class_labels=labels).sample, t, x).prev_sample
        return to_pixels(x)

    return contestant(model, torch.optim.Adam(model.parameters(), 1e-4), loss, sample)


def lucidrains() -> Contestant:
    from denoising_diffusion_pytorch.classifier_free_guidance import GaussianDiffusion, Unet

    class Unguided(Unet):
        """At a scale of 1 version 2.3.4 returns no pair, and its sampler, which wants one, stops."""

        def forward_with_cond_scale(self, x, t, classes, **scales):
            return self(x, t, classes, cond_drop_prob=0.0), None

    model = GaussianDiffusion(Unguided(dim=64, num_classes=10), image_size=32, sampling_timesteps=STEPS)

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        return model(images.float() / 255, classes=labels)

    def sample(averaged: nn.Module, labels: Tensor) -> Tensor:
        return to_pixels(2 * averaged.sample(classes=labels, cond_scale=1.0) - 1)

    return contestant(model, torch.optim.Adam(model.parameters(), 1e-4, betas=(0.9, 0.99)), loss, sample)


RIVALS = {"diffusers": diffusers_unet, "denoising-diffusion-pytorch": lambda parameters: lucidrains()}


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def train(one: Contestant, judge: Judge, spent: float, until: float, limit: float) -> tuple[float, int]:
    """Steps from `spent` seconds on until `until`; returns the seconds spent and the number of steps."""
    images, labels = judge.data.train_set.images, judge.data.train_set.labels
    highest = [group.setdefault("highest", group["lr"]) for group in one.optimizer.param_groups]
    steps = 0
    one.model.train()
    while spent < until:
        index = torch.randint(len(images), (IMAGES,))
        batch = torch.where(torch.rand(IMAGES, 1, 1, 1) < 0.5, images[index], images[index].flip(3))
        begin = time.perf_counter()
        for group, rate in zip(one.optimizer.param_groups, highest, strict=True):
            group["lr"] = rate * one.rate(spent / limit)
        one.optimizer.zero_grad()
        one.loss(batch, labels[index]).backward()
        one.optimizer.step()
        one.averaged.update_parameters(one.model)
        spent, steps = spent + time.perf_counter() - begin, steps + 1
    return spent, steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, help="of training, each")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument(
        "--rivals",
        nargs="+",
        choices=RIVALS,
        default=list(RIVALS),
        metavar="NAME",
        help=f"of {', '.join(RIVALS)}; all by default",
    )
    given = parser.parse_args()
    keep_freed_memory()
    torch.manual_seed(0)
    judge, limit = Judge(3), 60 * given.minutes
    mine = ours()
    contestants = {"ours": mine}
    for name in given.rivals:
        try:
            contestants[name] = RIVALS[name](parameters(mine.model))
        except ImportError:
            Console().print(f"{name} is not installed: left out")
    spent, steps = dict.fromkeys(contestants, 0.0), dict.fromkeys(contestants, 0)
    for turn in track(range(max(1, round(limit / TURN))), "training in turns"):
        until = min(limit, (turn + 1) * TURN)
        for name, one in contestants.items():
            spent[name], more = train(one, judge, spent[name], until, limit)
            steps[name] += more
    table = Table(
        "model", "parameters", "images/s", "FID", "KID", "class accuracy", title=f"{given.minutes:g} minutes each"
    )
    labels = judge.labels(given.samples)
    for name, one in contestants.items():
        with torch.no_grad():
            averaged = one.averaged.module.eval()
            drawn = torch.cat([one.sample(averaged, part) for part in track(labels.split(BATCH), name)])
        measures = judge.measure(drawn, labels)
        rate = IMAGES * steps[name] / spent[name]
        values = (f"{value:.4f}" for value in measures[:3])
        table.add_row(name, f"{parameters(one.model) / 1e6:.1f} M", f"{rate:.1f}", *values)
    Console().print(table)
    Console().print(f"{torch.get_num_threads()} threads, {given.samples} samples, {STEPS} steps, guidance scale 1")


if __name__ == "__main__":
    as_command(main)
