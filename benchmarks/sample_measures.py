"""How the benchmarks of diffusion models measure samples: by features and predictions of a classifier of their data.

N images, C channels, H height, W width.
"""

from typing import NamedTuple

import lightning as L
import torch
from rich.progress import track
from torch import Tensor

from callbacks.saturation import saturated_share
from checkpoints.load_trained import load_trained
from cli.precision import cpu_has_bfloat16
from datamodules.cifar10 import CIFAR10
from datamodules.images import Images
from datamodules.mnist import MNIST
from diffusion.noise import generators
from metrics.classifier_features import extract_features
from metrics.frechet_inception_distance import frechet_distance
from metrics.kernel_inception_distance import kernel_distance

BATCH = 250
DATA = {1: (MNIST, "pretrained/mnist_mlp"), 3: (CIFAR10, "pretrained/cifar10_fast")}  # by channels


class Measures(NamedTuple):
    """Of one set of samples."""

    fid: float
    kid: float
    class_accuracy: float
    saturated: float


class Judge:
    """Compares samples with the training images that a model of `channels` channels learned from."""

    def __init__(self, channels: int):
        kind, classifier = DATA[channels]
        self.data: Images = kind()
        self.data.setup()
        self.reader = load_trained(classifier)
        self.real = extract_features(self.reader, self.data.train_set.images, "training images")

    def labels(self, count: int) -> Tensor:
        """Classes to ask for, in the proportions of the training images: (N,)."""
        return self.data.train_set.labels[torch.arange(count) % len(self.data.train_set)]

    def measure(self, images: Tensor, target: Tensor) -> Measures:
        """Of samples (N, C, H, W) uint8 of the classes `target`."""
        seen = extract_features(self.reader, images, "samples")
        return Measures(
            frechet_distance(self.real.features, seen.features),
            kernel_distance(self.real.features, seen.features),
            (seen.predicted == target).float().mean().item(),
            saturated_share(images),
        )

    def real_images(self, count: int) -> Measures:
        """Of so many held-out images, in the place of samples."""
        held_out = self.data.test_set
        return self.measure(held_out.images[:count], held_out.labels[:count])


@torch.no_grad()
def draw(module: L.LightningModule, labels: Tensor, seed: int = 0, **options) -> Tensor:
    """A sample for each label, under autocast to bfloat16 where the CPU has it: (N,) -> (N, C, H, W) uint8."""
    parts = track(torch.arange(len(labels)).split(BATCH), "drawing", transient=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bfloat16()):
        return torch.cat(
            [module.sample(labels[part], generator=generators(seed, part.tolist()), **options) for part in parts]
        )
