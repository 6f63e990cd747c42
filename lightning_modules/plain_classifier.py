"""Pictures to classes by a network that a common optimizer trains."""

from functools import partial

import torch

from lightning_modules.choices import choose
from lightning_modules.classifier import Classifier
from optim.lr_schedule import decay_matrices, fused, with_warmup_cosine

OPTIMIZERS = {
    "adamw": torch.optim.AdamW,
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}


class PlainClassifier(Classifier):
    """A `Classifier` trained by AdamW or SGD.

    Args:
        optimizer: "adamw" or "sgd" (Nesterov momentum 0.9).
        **options: those of `Classifier`; `weight_decay` acts on weight matrices only.
    """

    def __init__(self, optimizer: str = "adamw", **options):
        super().__init__(**options)
        choose("optimizer", optimizer, OPTIMIZERS)

    def configure_optimizers(self):
        hp = self.hparams
        make, groups = OPTIMIZERS[hp.optimizer], decay_matrices(self, hp.weight_decay)
        return with_warmup_cosine(make(groups, hp.lr, fused=fused(self.trainer)), self.trainer, hp.warmup)
