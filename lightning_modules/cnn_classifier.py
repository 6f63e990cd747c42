"""Pictures to classes by a plain residual network."""

from torch import Tensor

from lightning_modules.plain_classifier import PlainClassifier
from networks.cnn import ResNet


class CNNClassifier(PlainClassifier):
    """A `PlainClassifier` on `networks.cnn.ResNet`.

    Args:
        widths: channels of each stage.
        blocks: residual blocks in a stage.
        **options: those of `PlainClassifier`.
    """

    def __init__(self, widths: list[int] = (64, 128, 256), blocks: int = 2, **options):
        super().__init__(**options)
        self.network = ResNet(self.hparams.shape[0], self.hparams.num_classes, widths, blocks)

    def filters(self) -> Tensor:
        return self.network.first.weight
