"""Pictures to classes by a convolutional network that learns in few epochs.

B batch, C channels, H height, W width, K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, optim

from lightning_modules.classifier import Classifier
from lightning_modules.joined import Joined
from lightning_modules.optimizers import with_one_cycle
from networks.cnn import WhitenedCNN

WHITENED_ON = 5_000  # pictures


class FastCNNClassifier(Classifier):
    """A `Classifier` on `networks.cnn.WhitenedCNN`, trained by Muon (Jordan 2024), at first on smaller pictures.

    Muon takes the convolutions, SGD with Nesterov momentum 0.85 the rest; `optimizer` is not asked.

    Args:
        widths: channels of each group of convolutions.
        depth: convolutions in a group.
        small_size: height and width of the pictures at first.
        small_share: for this share of all steps; 0 for whole pictures from the beginning.
        bias_lr: the highest learning rate of biases.
        head_lr: that of the last layer.
        lr: that of the convolutions: about the angle, in radians, by which a step turns a filter.
        **options: those of `Classifier`; `weight_decay` is per step and acts on biases and the last layer.
    """

    def __init__(
        self,
        widths: list[int] = (64, 256, 256),
        depth: int = 2,
        small_size: int = 24,
        small_share: float = 0.0,
        bias_lr: float = 26.0,
        head_lr: float = 0.005,
        **options,
    ):
        super().__init__(**options)
        if not 0 <= small_share < 1:
            raise ValueError(
                f"small_share={small_share} must be at least 0 and less than 1: the end needs whole pictures"
            )
        if not 16 <= small_size <= min(self.hparams.shape[1:]):
            raise ValueError(f"small_size={small_size} must lie between 16 and {min(self.hparams.shape[1:])}")
        self.network = WhitenedCNN(self.hparams.shape[0], self.hparams.num_classes, widths, depth)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            self.network.whiten(self.normalised(self.trainer.datamodule.train_set.images[:WHITENED_ON]))

    def training_logits(self, images: Tensor) -> Tensor:
        pixels, hp = self.normalised(images), self.hparams
        if self.trainer.global_step < hp.small_share * self.trainer.estimated_stepping_batches:
            pixels = F.interpolate(pixels, (hp.small_size, hp.small_size), mode="bilinear", antialias=True)
        return self.network(pixels).float()

    def configure_optimizers(self):
        hp, network = self.hparams, self.network
        biases = [norm.bias for group in network.groups for norm in group.norms]
        groups = [
            {"params": biases, "lr": hp.bias_lr, "weight_decay": hp.weight_decay / hp.bias_lr},
            {"params": [network.head.weight], "lr": hp.head_lr, "weight_decay": hp.weight_decay / hp.head_lr},
        ]
        muon = optim.Muon(network.filters(), hp.lr, weight_decay=0.0, momentum=0.6, ns_steps=3)
        sgd = optim.SGD(groups, momentum=0.85, nesterov=True)
        return with_one_cycle(Joined(muon, sgd), self.trainer.estimated_stepping_batches, hp.warmup)

    @torch.no_grad()
    def on_before_optimizer_step(self, optimizer: optim.Optimizer) -> None:
        """Batch norm takes out a filter's length, and a step of given length turns a longer filter less: keep all at
        length 1, on average."""
        for filters in self.network.filters():  # (C', 9 C)
            filters.mul_(len(filters) ** 0.5 / filters.norm())

    def filters(self) -> Tensor:
        return self.network.first_weight
