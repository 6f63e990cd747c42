"""Images to classes by a multi-layer perceptron; without hidden layers, softmax regression."""

from collections.abc import Sequence
from functools import partial

from lightning_modules.classifier import Classifier
from networks.mlp import MLP


class MLPClassifier(Classifier):
    """A `Classifier` on `networks.mlp.MLP`.

    Args:
        hidden: widths of the hidden layers; [] for softmax regression.
        dropout: probability that a hidden unit is dropped in training.
        batch_norm: normalise each hidden layer over the batch.
        **options: those of `Classifier`, but no `progressive_resizing`: an MLP takes images of one size.
    """

    def __init__(self, hidden: Sequence[int] = (256,), dropout: float = 0.0, batch_norm: bool = False, **options):
        network = partial(MLP, hidden=hidden, dropout=dropout, batch_norm=batch_norm)
        super().__init__(network=network, progressive_resizing=None, **options)
        self.save_hyperparameters({"hidden": list(hidden), "dropout": dropout, "batch_norm": batch_norm})
