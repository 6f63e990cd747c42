"""Whether a generative model copies: its samples beside the training images nearest to them.

B batch, C channels, H height, W width, F features, N training images, K classes.
"""

import lightning as L
import torch
from torch import Tensor

from callbacks.feature_extractor import feature_extractor
from callbacks.figures import labelled
from callbacks.image_sets import training_and_heldout
from callbacks.log_media import log_image
from callbacks.module_protocols import ImageGenerator, check_module
from callbacks.sample_grid import draw, grid
from callbacks.sampling import HIGHEST_SEED, MOST, class_names, watching
from limits import whole
from metrics.classifier_features import extract_features


class NearestNeighbours(L.Callback):
    """At test, logs samples beside their nearest training images as "test/neighbours" (`callbacks.log_media`).

    A row for each class: first a sample, then the training images that are nearest to it in a classifier's features,
    then those that are nearest in pixels.

    Args:
        classifier: a trained `lightning_modules.classifier.Classifier`: a folder of `pretrained/`, or a run's.
        neighbours: of each kind.
        seed: of the samples.
    """

    def __init__(self, classifier: str, neighbours: int = 4, seed: int = 0):
        whole(1, MOST, neighbours=neighbours)
        whole(0, HIGHEST_SEED, seed=seed)
        self.classifier, self.neighbours, self.seed = classifier, neighbours, seed

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Check, before a run trains or tests, that module, classifier and data fit."""
        check_module(self, module, ImageGenerator)
        if stage in ("fit", "test"):
            self._reader = feature_extractor(self, self.classifier, module)

    def on_test_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Check that there are images enough, before anything is drawn."""
        images = training_and_heldout(module)[0].images
        if self.neighbours > len(images):
            raise ValueError(f"neighbours={self.neighbours} are more than the {len(images)} training images")

    def on_test_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        images, reader = training_and_heldout(module)[0].images, self._reader.to(module.device)
        names = class_names(module)
        with watching(module):
            samples = draw(module, len(names), 1, self.seed)
        own, real = (extract_features(reader, part).features for part in (samples, images))
        rows = beside(samples, images, own, real, self.neighbours)
        places = range(1, self.neighbours + 1)
        columns = ["drawn", *(f"features {place}" for place in places), *(f"pixels {place}" for place in places)]
        image = labelled(grid(rows.flatten(0, 1), rows.shape[1]), columns, names)
        path = log_image(trainer, "test/neighbours", image)
        print(f"samples beside their nearest training images in {path}")


def beside(samples: Tensor, images: Tensor, sample_features: Tensor, features: Tensor, count: int) -> Tensor:
    """Samples (B, C, H, W), each followed by its neighbours among (N, C, H, W): (B, 1 + 2 count, C, H, W)."""
    whole(1, len(images), count=count)
    by_features = torch.cdist(sample_features, features).topk(count, largest=False).indices  # (B, count)
    drawn, real = (part.flatten(1).float() for part in (samples, images))
    by_pixels = torch.cdist(drawn, real).topk(count, largest=False).indices
    return torch.cat([samples[:, None], images[by_features], images[by_pixels]], 1)
