"""Features of images, learned without labels: two views of an image are made alike (SimCLR, Chen et al. 2020).

    image ─┬─ changed ─► network ─► projection ─┐
           └─ changed ─► network ─► projection ─┴─► contrastive loss

The projection serves the training alone: features are what the network's last layer reads.

B batch, C channels, H height, W width, F features, D dimensions of an embedding.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from adversarial.diff_augment import DiffAugmentation, augment
from lightning_modules.data_contract import check_image_data, training_images
from lightning_modules.optimized_module import OptimizedModule
from lightning_modules.step_log import log_step
from limits import whole
from networks.cnn import ResNet
from networks.image_classifier import FeatureNetwork, NetworkFactory, WhitenedNetwork
from networks.image_range import from_pixels
from networks.image_shape import check_images, image_shape
from networks.nt_xent import NTXent
from optim.lr_schedule import LRSchedule
from optim.parameter_groups import OptimizerFactory

WHITENED_ON = 5_000  # images


class SelfSupervised(OptimizedModule):
    """Trained on {"image": (B, C, H, W) uint8}; classes are not looked at.

    Args:
        network: makes the network from `shape` and `hidden`, as `networks.image_classifier.FeatureNetwork` says. Its
            last layer is the first of the projection.
        shape: C, H, W of the images.
        hidden: width of the projection.
        dim: D.
        augment: changes to images in [-1, 1] that make a view, in this order, such as those of
            `adversarial.diff_augment`. What they change, features hardly tell apart.
        loss: of the embeddings of two views, (B, D) each; by default `networks.nt_xent.NTXent`. With several processes
            each compares its own images.
        lr: the highest learning rate.
        optimizer: as `OptimizedModule`'s.
        lr_schedule: as `OptimizedModule`'s.
    """

    inference_prefixes = ("network.",)  # all that `features` needs (`checkpoints.pretrained`)
    hub_task = "image-feature-extraction"  # of its card (`checkpoints.model_card`)
    usage = "features = model.features(images)  # (B, C, H, W) uint8 -> (B, F)"

    def __init__(
        self,
        network: NetworkFactory = ResNet,
        shape: Sequence[int] = (3, 32, 32),
        hidden: int = 128,
        dim: int = 64,
        augment: Sequence[DiffAugmentation] = (),
        loss: nn.Module | None = None,
        lr: float = 1e-3,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        lr_schedule: LRSchedule | None = None,
    ):
        super().__init__(lr, optimizer, lr_schedule)
        image_shape(shape)
        whole(hidden=hidden, dim=dim)
        self.save_hyperparameters({"shape": list(shape), "hidden": hidden, "dim": dim, "lr": lr})
        self.augment = list(augment)
        self.loss = NTXent() if loss is None else loss
        self.network = network(tuple(shape), hidden)
        if not (hasattr(self.network, "features") and hasattr(self.network, "head")):
            raise ValueError(
                f"the network {type(self.network).__name__} has no features() and head, which are what it is trained "
                "for; add them as networks.image_classifier.FeatureNetwork says"
            )
        self.projection = nn.Sequential(nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, dim, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        """`features`."""
        return self.features(images)

    def features(self, images: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> (B, F) float32."""
        check_images(images, self.hparams.shape)
        return cast(FeatureNetwork, self.network).features(from_pixels(images).to(self.dtype)).float()

    def setup(self, stage: str) -> None:
        """Whiten the first layer of a `networks.image_classifier.WhitenedNetwork` where that was not done yet."""
        check_image_data(self, self.hparams.shape)
        if stage == "fit" and hasattr(self.network, "whiten"):
            network = cast(WhitenedNetwork, self.network)
            if not network.whitened.known:
                network.whiten(from_pixels(training_images(self, WHITENED_ON, "the first layer's filters")))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        check_images(batch["image"], self.hparams.shape)
        images = from_pixels(batch["image"])
        views = torch.cat([augment(images, self.augment) for _ in range(2)])  # (2 B, C, H, W)
        one, other = self.projection(self.network(views.to(self.dtype))).chunk(2)
        loss = self.loss(one, other)
        log_step(self, "train/loss", loss, prog_bar=True)
        return loss

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Nothing to do image by image: features are measured as a whole (`callbacks.linear_probe`)."""

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The features of the batch's images: (B, F)."""
        return self.features(batch["image"])
