"""Quality of samples by guidance scale, with and without thresholding.

    python -m benchmarks.ddpm_guidance pretrained/cifar10_ddpm --samples 2000

takes a folder of pretrained/, a run or a checkpoint. All rows draw from the same noise; the last is of held-out images.
With --interval FIRST LAST, only those of the training's steps are guided.
"""

import argparse

from rich.console import Console
from rich.table import Table

from benchmarks.command import as_command
from benchmarks.sample_measures import Judge, draw
from checkpoints.load_trained import load_trained
from cli.freed_memory import keep_freed_memory
from diffusion.thresholding import DynamicThresholding, NoThresholding, StaticThresholding
from lightning_modules.ddpm import DDPM

THRESHOLDINGS = {"none": NoThresholding(), "static": StaticThresholding(), "dynamic": DynamicThresholding()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--scales", type=float, nargs="+", default=[1, 1.5, 2, 3, 5, 8])
    parser.add_argument("--thresholdings", nargs="+", choices=THRESHOLDINGS, default=list(THRESHOLDINGS))
    parser.add_argument("--interval", type=int, nargs=2, metavar=("FIRST", "LAST"))
    parser.add_argument("--samples", type=int, default=2000)
    given = parser.parse_args()
    keep_freed_memory()
    model = load_trained(given.model, DDPM)
    model.hparams.guidance_interval = given.interval
    judge = Judge(model.hparams.shape[0])
    labels = judge.labels(given.samples)
    table = Table(
        "guidance scale", "thresholding", "FID", "KID", "class accuracy", "saturated", title=f"{given.samples} samples"
    )
    for scale in given.scales:
        for name in given.thresholdings:
            drawn = draw(model, labels, guidance_scale=scale, thresholding=THRESHOLDINGS[name])
            measures = judge.measure(drawn, labels)
            table.add_row(f"{scale:g}", name, *(f"{value:.4f}" for value in measures))
            Console().print(table)
    table.add_row("held-out", "", *(f"{value:.4f}" for value in judge.real_images(given.samples)))
    Console().print(table)


if __name__ == "__main__":
    as_command(main)
