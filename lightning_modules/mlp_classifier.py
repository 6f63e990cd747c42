"""Images to classes by a multi-layer perceptron; without hidden layers, softmax regression."""

from functools import partial

from lightning_modules.classifier import Classifier
from networks.mlp import MLP


class MLPClassifier(Classifier):
    """A `Classifier` on `networks.mlp.MLP`.

    Args:
        hidden: widths of the hidden layers; [] for softmax regression.
        dropout: probability that a hidden unit is dropped in training.
        batch_norm: normalise each hidden layer over the batch.
        **options: those of `Classifier`.
    """

    def __init__(self, hidden: list[int] = (256,), dropout: float = 0.0, batch_norm: bool = False, **options):
        super().__init__(network=partial(MLP, hidden=hidden, dropout=dropout, batch_norm=batch_norm), **options)
        self.save_hyperparameters({"hidden": list(hidden), "dropout": dropout, "batch_norm": batch_norm})
