"""How much a linear layer can read from the features of a module, measured at test."""

from typing import Any, cast

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from callbacks.image_sets import real_images, training_and_heldout
from callbacks.module_protocols import check_module
from callbacks.sampling import watching
from metrics.image_features import FeatureExtractor, extract
from metrics.linear_probe import linear_probe


class LinearProbe(L.Callback):
    """At test, logs "test/linear_probe_accuracy" (`metrics.linear_probe`): trained on the training images' classes.

    It is the share of held-out images whose class a linear layer finds. The module stays what it is.
    """

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Check, before a run trains or tests, that module and data fit."""
        check_module(self, module, FeatureExtractor)
        if stage in ("fit", "test"):
            real_images(module)

    # As in `callbacks.sample_quality`: averaged weights are in place during batches.
    def on_test_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx or dataloader_idx:
            return
        train, heldout = training_and_heldout(module)
        bar = rank_zero_only.rank == 0  # type: ignore[attr-defined]  # set by Lightning
        network = cast(FeatureExtractor, module)
        with watching(module):
            known = extract(network, train.images, "features of training images", bar)
            unseen = extract(network, heldout.images, "features of held-out images", bar)
        accuracy = linear_probe(known, train.labels, unseen, heldout.labels)
        module.log("test/linear_probe_accuracy", accuracy, batch_size=1)  # every process measures the same
