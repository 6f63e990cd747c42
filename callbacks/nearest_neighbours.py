"""Whether a generative model copies: its samples beside the training images that are most like them.

Speaks to the module through `sample(labels, generator=)` alone.

B batch, C channels, H height, W width, F features, N training images, K classes.
"""

from pathlib import Path

import lightning as L
import torch
from rich.console import Console
from torch import Tensor
from torchvision.io import write_png

from callbacks.sample_grid import draw, grid
from callbacks.sample_quality import check_reader, look, training_and_heldout
from callbacks.sampling import HIGHEST_SEED, MOST, class_names, watching
from checkpoints.pretrained import load_pretrained
from limits import whole


class NearestNeighbours(L.Callback):
    """At test, writes samples/neighbours.png in the run's folder: a row for each class, first a sample, then the
    training images that are nearest to it in a classifier's features, then those that are nearest in pixels.

    Args:
        classifier: a folder of `pretrained/` with the classifier.
        neighbours: of each kind.
        seed: of the samples.
    """

    def __init__(self, classifier: str, neighbours: int = 4, seed: int = 0):
        whole(1, MOST, neighbours=neighbours)
        whole(0, HIGHEST_SEED, seed=seed)
        self.classifier, self.neighbours, self.seed = classifier, neighbours, seed

    def on_test_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Before anything is drawn: whether classifier and data fit."""
        with watching(module):
            self._reader = load_pretrained(self.classifier)
        images = training_and_heldout(trainer)[0].images
        check_reader(self._reader, self.classifier, images, class_names(trainer, module))
        if self.neighbours > len(images):
            raise ValueError(f"neighbours={self.neighbours} are more than the {len(images)} training images")

    def on_test_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        folder = Path(trainer.log_dir or ".") / "samples"
        if not trainer.is_global_zero:
            return
        images, reader = training_and_heldout(trainer)[0].images, self._reader.to(module.device)
        with watching(module):
            samples = draw(module, len(class_names(trainer, module)), 1, self.seed)
        rows = beside(samples, images, look(reader, samples).features, look(reader, images).features, self.neighbours)
        folder.mkdir(parents=True, exist_ok=True)
        write_png(grid(rows.flatten(0, 1), rows.shape[1]), str(folder / "neighbours.png"))
        console = Console(soft_wrap=True, highlight=False, markup=False)
        console.print(f"samples beside their nearest training images in {folder / 'neighbours.png'}")


def beside(samples: Tensor, images: Tensor, sample_features: Tensor, features: Tensor, count: int) -> Tensor:
    """Samples (B, C, H, W), each followed by its neighbours among (N, C, H, W): (B, 1 + 2 count, C, H, W)."""
    whole(1, len(images), count=count)
    by_features = torch.cdist(sample_features, features).topk(count, largest=False).indices  # (B, count)
    pixels = (part.flatten(1).float() for part in (samples, images))
    by_pixels = torch.cdist(*pixels).topk(count, largest=False).indices
    return torch.cat([samples[:, None], images[by_features], images[by_pixels]], 1)
