"""Pictures to classes by a multi-layer perceptron; without hidden layers, softmax regression."""

import math

from torch import Tensor

from lightning_modules.plain_classifier import PlainClassifier
from networks.mlp import MLP


class MLPClassifier(PlainClassifier):
    """A `PlainClassifier` on `networks.mlp.MLP`.

    Args:
        hidden: widths of the hidden layers; [] for softmax regression.
        dropout: probability that a hidden unit is dropped in training.
        batch_norm: normalise each hidden layer over the batch.
        **options: those of `PlainClassifier`.
    """

    def __init__(self, hidden: list[int] = (256,), dropout: float = 0.0, batch_norm: bool = False, **options):
        super().__init__(**options)
        features = math.prod(self.hparams.shape)
        self.network = MLP(features, self.hparams.num_classes, hidden, dropout, batch_norm)

    def filters(self) -> Tensor:
        return self.network.first_weight.unflatten(1, self.hparams.shape)
