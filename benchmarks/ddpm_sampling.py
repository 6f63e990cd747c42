"""Quality of samples by network evaluations for the three samplers, and the seconds of a grid of 64 images.

    python -m benchmarks.ddpm_sampling pretrained/cifar10_ddpm --samples 2000

takes a folder of pretrained/, a run or a checkpoint. Every row draws from the same noise, at the model's own guidance
scale and thresholding. Where it guides, one evaluation is of a doubled batch. Seconds are medians of three.
"""

import argparse
import time
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.command import as_command
from benchmarks.sample_measures import Judge, draw
from checkpoints.load_trained import load_trained
from cli.freed_memory import keep_freed_memory
from diffusion.samplers import DDIMSampler, DDPMSampler, DPMSolver
from lightning_modules.ddpm import DDPM

SAMPLERS = {"ddpm": DDPMSampler(), "ddim": DDIMSampler(), "dpm-solver": DPMSolver()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 10, 20, 50])
    parser.add_argument("--samples", type=int, default=2000)
    given = parser.parse_args()
    keep_freed_memory()
    model = load_trained(given.model, DDPM)
    judge = Judge(model.hparams.shape[0])
    labels = judge.labels(given.samples)
    table = Table("sampler", "evaluations", "FID", "KID", "class accuracy", "seconds for 64")
    for name, sampler in SAMPLERS.items():
        for steps in given.steps:
            options = {"sampler": sampler, "sampling_steps": steps}
            measures = judge.measure(draw(model, labels, **options), labels)
            seconds = median(timed(lambda given=options: draw(model, labels[:64], **given)) for _ in "123")
            values = (f"{value:.4f}" for value in measures[:3])
            table.add_row(name, str(steps), *values, f"{seconds:.1f}")
            Console().print(table)
    Console().print(
        f"{torch.get_num_threads()} threads, {given.samples} samples, guidance scale {model.hparams.guidance_scale:g}"
    )


def timed(call) -> float:
    """Seconds of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


if __name__ == "__main__":
    as_command(main)
