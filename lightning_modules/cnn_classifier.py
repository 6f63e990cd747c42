"""Images to classes by a residual network."""

from collections.abc import Sequence
from functools import partial

from lightning_modules.classifier import Classifier
from networks.cnn import ResNet


class CNNClassifier(Classifier):
    """A `Classifier` on `networks.cnn.ResNet`.

    Args:
        widths: channels of each stage.
        blocks: residual blocks in a stage.
        **options: those of `Classifier`.
    """

    def __init__(self, widths: Sequence[int] = (64, 128, 256), blocks: int = 2, **options):
        super().__init__(network=partial(ResNet, widths=widths, blocks=blocks), **options)
        self.save_hyperparameters({"widths": list(widths), "blocks": blocks})
