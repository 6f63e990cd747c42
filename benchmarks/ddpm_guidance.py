"""Quality of samples by guidance scale, with and without thresholding.

    python -m benchmarks.ddpm_guidance pretrained/cifar10_ddpm --samples 2000

takes a folder of pretrained/ or a checkpoint. All rows draw from the same noise; the last is of held-out pictures.
"""

import argparse

from rich.console import Console
from rich.table import Table

from benchmarks.command import as_command
from benchmarks.sample_measures import Judge, draw
from checkpoints.atomic_checkpoint_io import load_trained
from diffusion.thresholding import THRESHOLDS
from lightning_modules.ddpm import DDPM
from train import keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--scales", type=float, nargs="+", default=[1, 1.5, 2, 3, 5, 8])
    parser.add_argument("--thresholds", nargs="+", choices=THRESHOLDS, default=list(THRESHOLDS))
    parser.add_argument("--samples", type=int, default=2000)
    given = parser.parse_args()
    keep_freed_memory()
    model = load_trained(DDPM, given.model)
    judge = Judge(model.hparams.shape[0])
    labels = judge.labels(given.samples)
    table = Table("scale", "threshold", "FID", "KID", "class accuracy", "saturated", title=f"{given.samples} samples")
    for scale in given.scales:
        for threshold in given.thresholds:
            measures = judge.measure(draw(model, labels, scale=scale, threshold=threshold), labels)
            table.add_row(f"{scale:g}", threshold, *(f"{value:.4f}" for value in measures))
            Console().print(table)
    table.add_row("held-out", "", *(f"{value:.4f}" for value in judge.real_images(given.samples)))
    Console().print(table)


if __name__ == "__main__":
    as_command(main)
