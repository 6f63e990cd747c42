"""How good a generative model's samples are, measured at test.

N images, K classes.
"""

from typing import Any, cast

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.utilities import rank_zero_only
from rich.progress import track
from torch import Tensor

from callbacks.feature_extractor import feature_extractor
from callbacks.image_sets import training_and_heldout
from callbacks.module_protocols import ImageGenerator, check_module
from callbacks.sampling import HIGHEST_SEED, watching
from diffusion.noise import generators
from limits import whole
from metrics.classifier_features import extract_features
from metrics.frechet_inception_distance import frechet_distance
from metrics.kernel_inception_distance import kernel_distance

BATCH = 250  # images that are drawn at once


class SampleQuality(L.Callback):
    """Logs at test how near samples are to real images, by features and answers of a classifier, in float32.

        test/fid                  Frechet distance between the features of samples and of the training images
        test/fid_matched          the same with only as many samples as there are held-out images, to compare with:
        test/fid_real             the same between held-out images and training images, both real
        test/kid                  kernel distance (its estimate has no bias: the number of samples does not matter)
        test/class_accuracy       share of samples that the classifier takes for the class that was asked for
        test/class_accuracy_real  share of held-out images that it takes for their class

    Classes are asked for in the proportions of the training images.

    Args:
        classifier: a trained `lightning_modules.classifier.Classifier`: a folder of `pretrained/`, or a run's.
        samples: how many are drawn; more than the classifier has features, else their covariance is singular.
        seed: of the samples.
    """

    def __init__(self, classifier: str, samples: int = 10_000, seed: int = 0):
        whole(2, 10_000_000, samples=samples)
        whole(0, HIGHEST_SEED, seed=seed)
        self.classifier, self.samples, self.seed = classifier, samples, seed

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Check, before a run trains or tests, that module, classifier, data and numbers fit."""
        check_module(self, module, ImageGenerator)
        if stage not in ("fit", "test"):
            return
        self._reader = feature_extractor(self, self.classifier, module)
        if self.samples <= self._reader.head.in_features:
            raise ValueError(
                f"samples={self.samples} are too few to measure {self._reader.head.in_features} features; "
                f"take more than {self._reader.head.in_features}, and 10000 for a figure to publish"
            )

    def on_test_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Check that there are images enough, before anything is drawn."""
        train, heldout = training_and_heldout(module)
        if min(len(train), len(heldout)) < 2:
            raise ValueError(
                f"the data hold {len(train)} training and {len(heldout)} held-out images; a FID needs at least 2 of "
                "each: give more, or leave callbacks.sample_quality.SampleQuality out"
            )

    # Averaged weights may be swapped in at the start of the test epoch and out at its end. During its batches they are
    # in place, whatever the order of the callbacks.
    def on_test_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx or dataloader_idx:
            return
        reader, bar = self._reader.to(module.device), rank_zero_only.rank == 0  # type: ignore[attr-defined]  # set by Lightning
        train, heldout = training_and_heldout(module)
        target = train.labels[torch.arange(self.samples) % len(train)]
        with watching(module), trainer.precision_plugin.forward_context():
            images = self.draw(module, target)
        samples = extract_features(reader, images, "samples", bar)
        real = extract_features(reader, train.images, "training images", bar)
        unseen = extract_features(reader, heldout.images, "held-out images", bar)
        metrics = {
            "fid": frechet_distance(real.features, samples.features),
            "fid_matched": frechet_distance(real.features, samples.features[: len(heldout)]),
            "fid_real": frechet_distance(real.features, unseen.features),
            "kid": kernel_distance(real.features, samples.features, self.seed),
            "class_accuracy": (samples.predicted == target).float().mean().item(),
            "class_accuracy_real": (unseen.predicted == heldout.labels).float().mean().item(),
        }
        for name, value in metrics.items():  # every process measures the same
            module.log(f"test/{name}", value, batch_size=1)
        if trainer.is_global_zero:
            sizes = f"{self.samples} samples, {len(train)} training and {len(heldout)} held-out images"
            print(f"{sizes}; features of {self.classifier}")

    @torch.no_grad()
    def draw(self, module: L.LightningModule, labels: Tensor) -> Tensor:
        """A sample for each label: (N,) -> (N, C, H, W) uint8. Several processes share the work and get all of them.

        They are the same each time: each has its own noise, from the seed and its place. Processes share whole batches,
        so that each sample is drawn beside the same others, and is the same to the last bit.
        """
        generator, parts = cast(ImageGenerator, module), torch.arange(len(labels)).split(BATCH)
        shared = dist.is_available() and dist.is_initialized()
        rank, processes = (dist.get_rank(), dist.get_world_size()) if shared else (0, 1)
        own = track(parts[rank::processes], "drawing samples", transient=True, disable=rank != 0)
        drawn = [
            generator.sample(labels[part].to(module.device), generator=generators(self.seed, part.tolist())).cpu()
            for part in own
        ]
        gathered = [drawn] * processes
        if shared:
            dist.all_gather_object(gathered, drawn)
        return torch.cat([gathered[number % processes][number // processes] for number in range(len(parts))])
