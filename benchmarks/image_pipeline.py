"""Training images a second: our CIFAR-10 batches against torchvision's `CIFAR10` with a `DataLoader`.

    python -m benchmarks.image_pipeline

Both shift by up to four pixels (reflected at the sides), flip at random, and give normalised float32 batches of 500.
torchvision's images lie in memory, too, as its data set keeps them; it is taken with and without worker processes.
The contestants take turns, an epoch each; figures are medians.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import v2

from benchmarks.command import as_command
from datamodules.augmentation import HorizontalFlip, Shift
from datamodules.cifar10 import CIFAR10

BATCH = 500
IMAGES = 20_000  # in an epoch here
SHIFT = 4
WORKERS = (0, 2)


class InMemory(datasets.CIFAR10):
    """torchvision's data set on images that are there already, instead of its archive on disk."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, transform: Callable):
        self.data, self.targets = images.permute(0, 2, 3, 1).numpy(), labels.tolist()
        self.transform, self.target_transform = transform, None


def ours(data: CIFAR10, mean: torch.Tensor, std: torch.Tensor) -> Callable[[], None]:
    def epoch() -> None:
        for batch in data.train_dataloader():
            images = data.augmented(batch, epoch=0)["image"]
            _ = (images.float() / 255 - mean[:, None, None]) / std[:, None, None]

    return epoch


def torchvision_pipeline(data: CIFAR10, mean: torch.Tensor, std: torch.Tensor, workers: int) -> Callable[[], None]:
    steps = [
        v2.RandomCrop(data.shape[1:], padding=SHIFT, padding_mode="reflect"),
        v2.RandomHorizontalFlip(),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(mean.tolist(), std.tolist()),
    ]
    images = InMemory(data.train_set.images, data.train_set.labels, v2.Compose(steps))
    loader = DataLoader(
        images, BATCH, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0
    )

    def epoch() -> None:
        for _ in loader:
            pass

    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each")
    parser.add_argument("--source", default="uoft-cs/cifar10", help="where the images are, or fonts")
    args = parser.parse_args()
    data = CIFAR10(
        args.source,
        batch_size=BATCH,
        augment=[Shift(SHIFT, "reflect"), HorizontalFlip()],
        val_share=0,
    )
    data.setup("fit")
    data.train_set = data.train_set.subset(torch.arange(min(IMAGES, len(data.train_set))))
    mean, std = data.channel_statistics()
    contestants = {"Firstlight": ours(data, mean, std)}
    for workers in WORKERS:
        contestants[f"torchvision, {workers} workers"] = torchvision_pipeline(data, mean, std, workers)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for call in contestants.values():
        call()  # does not count: workers start here
    for _ in range(args.rounds):
        for name, call in contestants.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    table = Table(
        "pipeline",
        "images/s",
        "Firstlight's speed to its",
        title=f"training batches, {torch.get_num_threads()} threads",
    )
    own = times["Firstlight"]
    for name, seconds in times.items():
        ratios = sorted(other / mine for other, mine in zip(seconds, own, strict=True))
        spread = f"{median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})" if seconds is not own else ""
        table.add_row(name, f"{len(data.train_set) / median(seconds):,.0f}", spread)
    Console().print(table)


if __name__ == "__main__":
    as_command(main)
