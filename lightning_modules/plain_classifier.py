"""Pictures to classes by a network whose weights one common optimizer takes."""

import torch

from lightning_modules.choices import choose
from lightning_modules.classifier import Classifier
from lightning_modules.optimizers import decay_matrices, fused, with_one_cycle

OPTIMIZERS = {
    "adamw": lambda groups, lr, fused: torch.optim.AdamW(groups, lr, fused=fused),
    "sgd": lambda groups, lr, fused: torch.optim.SGD(groups, lr, momentum=0.9, nesterov=True, fused=fused),
}


class PlainClassifier(Classifier):
    """A `Classifier` trained by AdamW or SGD.

    Args:
        optimizer: "adamw" or "sgd" (Nesterov momentum 0.9).
        **options: those of `Classifier`; `weight_decay` acts on weight matrices only.
    """

    def __init__(self, optimizer: str = "adamw", **options):
        super().__init__(**options)
        self.optimizer = choose("optimizer", optimizer, OPTIMIZERS)

    def configure_optimizers(self):
        hp = self.hparams
        optimizer = self.optimizer(decay_matrices(self, hp.weight_decay), hp.lr, fused(self.trainer))
        return with_one_cycle(optimizer, self.trainer, hp.warmup)
