"""How good a generative model's samples are, measured at test.

Speaks to the module through `sample(labels, generator=)` alone, which draws a uint8 picture for each label, and to the
datamodule through its `train_set` and `test_set`: any model that draws pictures, any data set of pictures.

B batch, C channels, H height, W width, F features, N pictures, K classes.
"""

import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from callbacks.sampling import HIGHEST_SEED, class_names, watching
from checkpoints.pretrained import load_pretrained
from diffusion.noise import generators
from limits import whole

BATCH = 250  # pictures that are drawn, or looked at, at once
KID_SUBSET = 1000  # pictures in each of KID's subsets, at most


class Seen(NamedTuple):
    """What a classifier makes of N pictures."""

    features: Tensor  # (N, F)
    named: Tensor  # (N,) classes that it reads


class SampleQuality(L.Callback):
    """Logs at test, with features and answers of a classifier (any of `lightning_modules.classifier`), in float32:

        test/fid            Frechet distance between the features of samples and of the training pictures
        test/fid_few        the same with only as many samples as there are held-out pictures, for comparison with:
        test/fid_floor      the same between held-out pictures and training pictures, both real
        test/kid            kernel distance (its estimate has no bias, so that the number of samples does not matter)
        test/readable       share of samples that the classifier reads as the class that was asked for
        test/readable_real  share of held-out pictures that it reads as what they show

    Classes are asked for in the proportions of the training pictures.

    Args:
        classifier: a folder of `pretrained/` with the classifier.
        samples: how many are drawn; more than the classifier has features, or their covariance means nothing.
        seed: of the samples.
    """

    def __init__(self, classifier: str, samples: int = 10_000, seed: int = 0):
        whole(2, 10_000_000, samples=samples)
        whole(0, HIGHEST_SEED, seed=seed)
        self.classifier, self.samples, self.seed = classifier, samples, seed

    def on_test_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Before anything is drawn: whether classifier, data and numbers fit."""
        with watching(module):
            self._reader = load_pretrained(self.classifier)
        train, heldout = training_and_heldout(trainer)
        check_reader(self._reader, self.classifier, train.images, class_names(trainer, module))
        if min(len(train), len(heldout)) < 2:
            raise ValueError(
                f"the data hold {len(train)} training and {len(heldout)} held-out pictures; a FID needs at least 2 of "
                "each: give more, or leave callbacks.sample_quality.SampleQuality out"
            )
        if self.samples <= self._reader.head.in_features:
            raise ValueError(
                f"samples={self.samples} are too few to measure {self._reader.head.in_features} features; "
                f"take more than {self._reader.head.in_features}, and 10000 for a figure to publish"
            )

    # Averaged weights may be swapped in between the start and the end of the test epoch: a batch lies between the two
    # whatever the order of the callbacks.
    def on_test_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0) -> None:
        if batch_idx or dataloader_idx:
            return
        reader = self._reader.to(module.device)
        train, heldout = training_and_heldout(trainer)
        wanted = train.labels[torch.arange(self.samples) % len(train)]
        with watching(module), trainer.precision_plugin.forward_context():
            pictures = self.draw(module, wanted)
        samples, real = look(reader, pictures, "samples"), look(reader, train.images, "training pictures")
        unseen = look(reader, heldout.images, "held-out pictures")
        metrics = {
            "fid": frechet_distance(real.features, samples.features),
            "fid_few": frechet_distance(real.features, samples.features[: len(heldout)]),
            "fid_floor": frechet_distance(real.features, unseen.features),
            "kid": kernel_distance(real.features, samples.features, self.seed),
            "readable": (samples.named == wanted).float().mean().item(),
            "readable_real": (unseen.named == heldout.labels).float().mean().item(),
        }
        for name, value in metrics.items():  # every process draws and measures the same
            module.log(f"test/{name}", value, batch_size=1)
        if trainer.is_global_zero:
            sizes = f"{self.samples} samples, {len(train)} training and {len(heldout)} held-out pictures"
            result = Table("metric", "value", title=f"{sizes}; features of {self.classifier}")
            for name, value in metrics.items():
                result.add_row(name, f"{value:.4f}")
            Console().print(result)

    @torch.no_grad()
    def draw(self, module: L.LightningModule, labels: Tensor) -> Tensor:
        """A sample for each label: (N,) -> (N, C, H, W) uint8. The same ones each time: each has noise of its own, from
        the seed and its place."""
        parts = _shown(torch.arange(len(labels)).split(BATCH), "drawing samples")
        return torch.cat(
            [
                module.sample(labels[part].to(module.device), generator=generators(self.seed, part.tolist())).cpu()
                for part in parts
            ]
        )


def training_and_heldout(trainer: L.Trainer) -> tuple:
    """The data's `train_set` and `test_set`; ValueError where the data have none."""
    data = trainer.datamodule
    if data is not None:
        data.setup("fit")
    if not (hasattr(data, "train_set") and hasattr(data, "test_set")):
        raise ValueError(
            "samples are compared with pictures: give the trainer a datamodule with train_set and test_set, such as "
            "datamodules.mnist.MNIST"
        )
    return data.train_set, data.test_set


def check_reader(reader: L.LightningModule, name: str, images: Tensor, class_names: Sequence[str]) -> None:
    """Raises ValueError where a classifier reads pictures of another shape or other classes than the data's."""
    shape, classes = reader.hparams.get("shape"), reader.head.out_features
    if shape is not None and list(shape) != list(images.shape[1:]):
        raise ValueError(
            f"the classifier {name} reads pictures of shape {list(shape)}, the data's are {list(images.shape[1:])}; "
            "name a classifier that was trained on such data, or leave the callback out"
        )
    if classes != len(class_names):
        raise ValueError(
            f"the classifier {name} tells {classes} classes apart, the data have {len(class_names)}; name a classifier "
            "that was trained on such data, or leave the callback out"
        )


@torch.no_grad()
def look(reader: L.LightningModule, pictures: Tensor, what: str = "pictures") -> Seen:
    """A classifier's features and answers for pictures (N, C, H, W) uint8."""
    parts = _shown(pictures.split(BATCH), f"looking at {what}")
    features = [reader.features(part.to(reader.device)) for part in parts]
    return Seen(torch.cat(features).cpu(), torch.cat([reader.head(part).argmax(1) for part in features]).cpu())


def frechet_distance(real: Tensor, samples: Tensor) -> float:
    """FID (Heusel et al. 2017, Eq. 6) of two sets of features, (N, F) and (N', F), with means m and covariances S:
    |m - m'|^2 + Tr(S + S' - 2 (S S')^(1/2)), the squared distance between two Gaussians."""
    metric = FrechetInceptionDistance(feature=AsTheyAre(real.shape[1]))
    metric.update(real.double(), real=True)
    metric.update(samples.double(), real=False)
    return metric.compute().item()


def kernel_distance(real: Tensor, samples: Tensor, seed: int = 0) -> float:
    """The squared maximum mean discrepancy under the kernel (x y / F + 1)^3, without bias (Binkowski et al. 2018):
    the mean over 100 pairs of subsets, which `seed` draws."""
    size = min(KID_SUBSET, len(real), len(samples))
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save all")
        metric = KernelInceptionDistance(feature=AsTheyAre(real.shape[1]), subset_size=size)
        torch.manual_seed(seed)  # of the fork
        metric.update(real.double(), real=True)
        metric.update(samples.double(), real=False)
        return metric.compute()[0].item()


class AsTheyAre(nn.Module):
    """For torchmetrics, which asks a network for features: they are given to it in place of pictures."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def _shown(parts: Iterable[Tensor], what: str) -> Iterable[Tensor]:
    """The parts, with a progress bar in the first process."""
    return track(parts, what, transient=True, disable=rank_zero_only.rank != 0)
