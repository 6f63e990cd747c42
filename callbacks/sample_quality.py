"""How good a generative model's samples are, measured at test.

N images, K classes.
"""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from callbacks.drawn_samples import drawn_samples
from callbacks.feature_extractor import feature_extractor
from callbacks.image_sets import real_images, training_and_heldout
from callbacks.module_protocols import ImageGenerator, check_module
from callbacks.sampling import HIGHEST_SEED, watching
from limits import whole
from metrics.classifier_features import extract_features
from metrics.frechet_inception_distance import frechet_distance
from metrics.image_features import ImageFeatures, extract
from metrics.kernel_inception_distance import kernel_distance
from metrics.precision_recall import precision_recall

NEIGHBOURS = 5  # k of precision and recall, as in Naeem et al. 2020


class SampleQuality(L.Callback):
    """Logs at test how near samples are to real images, by features and answers of a classifier, in float32.

        test/fid                  Frechet distance between the features of samples and of the training images
        test/fid_matched          the same with only as many samples as there are held-out images, to compare with:
        test/fid_real             the same between held-out images and training images, both real
        test/kid                  kernel distance (its estimate has no bias: the number of samples does not matter)
        test/precision            share of samples among the training images (`metrics.precision_recall`, k = 5)
        test/recall               share of training images among the samples
        test/density, coverage    the same, less moved by outliers; 1 and 0.969 if samples were as real as real ones
        test/precision_real, ...  precision and recall of held-out images, in the place of samples
        test/class_accuracy       share of samples that the classifier takes for the class that was asked for
        test/class_accuracy_real  share of held-out images that it takes for their class

    Classes are asked for in the proportions of the training images. Precision and recall depend on the number of
    images: they are of as many training images, evenly spaced, as there are samples or held-out images. Samples are
    drawn once (`callbacks.drawn_samples`): another test of the same weights, with other features say, reads them.

    Args:
        classifier: a trained `lightning_modules.classifier.Classifier`: a folder of `pretrained/`, or a run's.
        samples: how many are drawn; more than there are features, else their covariance is singular.
        seed: of the samples.
        features: more features to measure by, such as `callbacks.trained_features.TrainedFeatures` or
            `metrics.inception_features.InceptionFeatures`: all but the class accuracies once more, as test/fid/NAME.
    """

    def __init__(
        self, classifier: str, samples: int = 10_000, seed: int = 0, features: list[ImageFeatures] | None = None
    ):
        whole(NEIGHBOURS + 1, 10_000_000, samples=samples)
        whole(0, HIGHEST_SEED, seed=seed)
        self.classifier, self.samples, self.seed, self.features = classifier, samples, seed, list(features or [])
        names = [other.name for other in self.features]
        if len(set(names)) < len(names):
            raise ValueError(f"features are called {', '.join(names)}; give each a name of its own")

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Check, before a run trains or tests, that module, classifier, data and numbers fit."""
        check_module(self, module, ImageGenerator)
        if stage not in ("fit", "test"):
            return
        self._reader = feature_extractor(self, self.classifier, module)
        shape = getattr(real_images(module), "shape", None)
        with watching(module):
            self._others = {other.name: other.load(shape) for other in self.features}
        self._check_count(self._reader.head.in_features, self.classifier)

    def _check_count(self, features: int, name: str) -> None:
        if self.samples <= features:
            raise ValueError(
                f"samples={self.samples} are too few to measure {features} features of {name}; take more than "
                f"{features}, and 10000 for a figure to publish"
            )

    def on_test_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Check that there are images enough, before anything is drawn."""
        train, heldout = training_and_heldout(module)
        if min(len(train), len(heldout)) <= NEIGHBOURS:
            raise ValueError(
                f"the data hold {len(train)} training and {len(heldout)} held-out images; a FID, precision and recall "
                f"need at least {NEIGHBOURS + 1} of each: give more, or leave callbacks.sample_quality.SampleQuality "
                "out"
            )
        for name, network in self._others.items():
            count = network.features(train.images[:1].to(network.device)).shape[1]
            self._check_count(count, name)

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
            images = drawn_samples(module, target, self.seed)
        samples = extract_features(reader, images, "samples", bar)
        real = extract_features(reader, train.images, "training images", bar)
        unseen = extract_features(reader, heldout.images, "held-out images", bar)
        metrics = distances(real.features, samples.features, unseen.features, self.seed) | {
            "class_accuracy": (samples.predicted == target).float().mean().item(),
            "class_accuracy_real": (unseen.predicted == heldout.labels).float().mean().item(),
        }
        for name, network in self._others.items():
            sets, what = (train.images, images, heldout.images), f"features of {name}"
            found = [extract(network.to(module.device), part, what, bar) for part in sets]
            measured = distances(found[0], found[1], found[2], self.seed)
            metrics |= {f"{metric}/{name}": value for metric, value in measured.items()}
        for name, value in metrics.items():  # every process measures the same
            module.log(f"test/{name}", value, batch_size=1)
        if trainer.is_global_zero:
            sizes = f"{self.samples} samples, {len(train)} training and {len(heldout)} held-out images"
            print(f"{sizes}; features of {self.classifier}")


def distances(real: Tensor, samples: Tensor, unseen: Tensor, seed: int = 0) -> dict[str, float]:
    """How far samples are from real images, and unseen real images, too; all by features (N, F).

    `seed` is that of `metrics.kernel_inception_distance`.
    """
    heldout = precision_recall(*_equal(real, unseen), NEIGHBOURS)
    return {
        "fid": frechet_distance(real, samples),
        "fid_matched": frechet_distance(real, samples[: len(unseen)]),
        "fid_real": frechet_distance(real, unseen),
        "kid": kernel_distance(real, samples, seed),
        **precision_recall(*_equal(real, samples), NEIGHBOURS)._asdict(),
        "precision_real": heldout.precision,
        "recall_real": heldout.recall,
    }


def _equal(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """As many rows of each: all of the smaller set, evenly spaced ones of the larger."""
    count = min(len(one), len(other))
    one, other = (rows[torch.arange(count) * len(rows) // count] for rows in (one, other))
    return one, other
