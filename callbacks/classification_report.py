"""What a classifier gets right and wrong, as images.

B batch, C channels, H height, W width, K classes.
"""

import heapq
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import lightning as L
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.utils import make_grid

from callbacks.figures import pixels
from callbacks.log_media import log_image
from callbacks.module_protocols import ImageClassifier, check_module
from metrics import confusion_tables

LARGEST = 40  # inches of a figure's side: hundreds of classes would take gigabytes


class Mistake(NamedTuple):
    """Ordered by confidence; `number` differs for all, so that images are never compared."""

    confidence: float
    number: int
    image: Tensor  # (C, H, W) uint8
    target: int
    predicted: int


class ClassificationReport(L.Callback):
    """Logs what a classifier gets right and wrong, at the end of every validation and test.

    Under val/ or test/: as images, the confusion matrix, the most confident mistakes and, where the module has any, the
    first layer's weights (`callbacks.log_media`); as numbers, the accuracy of every class.

    Counts are summed over all processes; images of mistakes are those that the first process saw.

    Args:
        mistakes: how many mistakes are shown.
        filters: how many of the first layer's units are shown at most.
    """

    def __init__(self, mistakes: int = 25, filters: int = 64):
        if mistakes < 1 or filters < 1:
            raise ValueError(f"mistakes={mistakes} and filters={filters} must be at least 1")
        self.mistakes, self.filters = mistakes, filters
        self._worst: list[Mistake] = []  # a heap: the least confident first

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        if stage != "predict":
            check_module(self, module, ImageClassifier)

    def on_validation_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._worst, self._seen = [], 0

    def on_test_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.on_validation_epoch_start(trainer, module)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        confidence, predicted = outputs.softmax(1).max(1)  # (B,)
        wrong = (predicted != batch["label"]).nonzero()[:, 0]
        for place in wrong[confidence[wrong].argsort(descending=True)[: self.mistakes]].tolist():
            self._seen += 1
            image, target = batch["image"][place].cpu(), int(batch["label"][place])
            mistake = Mistake(float(confidence[place]), -self._seen, image, target, int(predicted[place]))
            (heapq.heappush if len(self._worst) < self.mistakes else heapq.heappushpop)(self._worst, mistake)

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.on_validation_batch_end(trainer, module, outputs, batch, batch_idx, dataloader_idx)

    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._report(trainer, module, "val")

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._report(trainer, module, "test")

    def _report(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        classifier = cast(ImageClassifier, module)
        confusion = classifier.confusion.compute().cpu()  # (K, K), summed over all processes
        if not trainer.is_global_zero:
            return
        names, filters = classifier.class_names, classifier.filters()
        accuracies = zip(names, confusion_tables.class_accuracy(confusion).tolist(), strict=True)
        scalars = {f"{stage}/accuracy_of/{name}": accuracy for name, accuracy in accuracies}
        for logger in trainer.loggers:
            logger.log_metrics(scalars, trainer.global_step)
        log_image(trainer, f"{stage}/confusion", pixels(confusion_figure(confusion, names)))
        if self._worst:
            figure = mistakes_figure(sorted(self._worst, reverse=True), names)
            log_image(trainer, f"{stage}/mistakes", pixels(figure))
        if filters is not None:
            image = filter_grid(filters[: self.filters].detach().float().cpu())
            log_image(trainer, f"{stage}/filters", image.mul(255).round().byte())


def confusion_figure(confusion: Tensor, class_names: Sequence[str]) -> Figure:
    """(K, K) counts as a matrix: shares of each row as shades, counts as numbers."""
    figure = Figure((min(1.5 + 0.55 * len(class_names), LARGEST),) * 2, layout="tight")
    axes = figure.subplots()
    shares = confusion / confusion.sum(1, keepdim=True).clamp(min=1)
    axes.imshow(shares.sqrt().numpy(), cmap="Blues", vmin=0, vmax=1)  # the square root makes rare mistakes visible
    for row, column in confusion.nonzero().tolist():
        shade = "white" if shares[row, column] > 0.4 else "black"
        axes.text(column, row, str(int(confusion[row, column])), ha="center", va="center", color=shade, fontsize=8)
    places = range(len(class_names))
    axes.set(xlabel="predicted", ylabel="true", yticks=places, yticklabels=class_names)
    axes.set_xticks(places, class_names, rotation=90 if max(map(len, class_names)) > 2 else 0)
    return figure


def mistakes_figure(mistakes: Sequence[Mistake], class_names: Sequence[str]) -> Figure:
    """Images in rows of five, each under its true class, the predicted one and the probability of that.

    An image with neither one nor three channels is shown as the mean of its channels.
    """
    figure = Figure((8, 2.0 * math.ceil(len(mistakes) / 5)), layout="tight")
    for axes in figure.subplots(math.ceil(len(mistakes) / 5), 5, squeeze=False).flat:
        axes.axis("off")
    for axes, mistake in zip(figure.axes, mistakes, strict=False):
        image = mistake.image.float() / 255
        image = image if len(image) in (1, 3) else image.mean(0, keepdim=True)
        axes.imshow(image.permute(1, 2, 0).numpy(), cmap="gray", vmin=0, vmax=1)
        predicted = f"predicted {class_names[mistake.predicted]} ({mistake.confidence:.0%})"
        axes.set_title(f"true {class_names[mistake.target]}\n{predicted}", fontsize=8)
    return figure


def filter_grid(filters: Tensor) -> Tensor:
    """Weights (n, C, h, w) as one image (3, H, W) in [0, 1], each scaled by itself so that 0 is mid-grey.

    Weights for more than three channels are shown by their mean over channels.
    """
    if filters.shape[1] not in (1, 3):
        filters = filters.mean(1, keepdim=True)
    largest = filters.abs().amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(filters.dtype).tiny)
    scale = max(1, 28 // filters.shape[-1])  # small kernels are enlarged: every pixel stays a square
    images = (0.5 + 0.5 * filters / largest).repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    divisors = [n for n in range(1, len(filters) + 1) if len(filters) % n == 0]
    in_a_row = next(n for n in divisors if n * n >= len(filters))  # as square as rows of equal length can be
    return make_grid(images, nrow=in_a_row, pad_value=1.0)
