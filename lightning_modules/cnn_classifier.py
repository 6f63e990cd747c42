"""Pictures to classes by a plain residual network."""

from torch import Tensor

from lightning_modules.classifier import Classifier
from networks.cnn import ResNet


class CNNClassifier(Classifier):
    """A `Classifier` on `networks.cnn.ResNet`.

    Args:
        widths: channels of each stage.
        blocks: residual blocks in a stage.
        **options: those of `Classifier`.
    """

    def __init__(self, widths: list[int] = (64, 128, 256), blocks: int = 2, **options):
        super().__init__(**options)
        self.network = ResNet(self.hparams.shape[0], self.hparams.num_classes, widths, blocks)

    def filters(self) -> Tensor:
        return self.network.first.weight
