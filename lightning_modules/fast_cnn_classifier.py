"""Pictures to classes by a convolutional network that learns in few epochs.

B batch, C channels, H height, W width, n of a batch that are trained on.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, optim

from lightning_modules.choices import choose
from lightning_modules.classifier import Classifier
from limits import number, whole
from networks.cnn import WhitenedCNN
from optim.combined_optimizer import CombinedOptimizer
from optim.lr_schedule import DECAYS, total_steps, with_warmup_cosine

WHITENED_ON = 5_000  # pictures


class FastCNNClassifier(Classifier):
    """A `Classifier` on `networks.cnn.WhitenedCNN`, trained by Muon (Jordan 2024), at first on smaller pictures.

    Muon takes the convolutions, SGD with Nesterov momentum 0.85 the rest.

    With a `hard_share` below 1, a small network of the same kind, the proxy, looks at each batch first, and both learn
    from the part of it that has the highest loss with the proxy: most pictures have little left to teach after a few
    epochs (Coleman et al. 2020, Selection via Proxy, arXiv:1906.11829). `train/loss` and `train/accuracy` are then of
    this part, and `train/proxy_loss` is the proxy's loss on it.

    Args:
        widths: channels of each group of convolutions.
        depth: convolutions in a group.
        norm_momentum: share of a batch in the running statistics of the batch norms.
        small_size: height and width of the pictures at first.
        small_share: for this share of all steps; 0 for whole pictures from the beginning. A training without an end has
            no small ones.
        hard_share: share of each batch that is trained on, the hardest part; 1 for all of it, and no proxy.
        proxy_widths: channels of each group of the proxy, which sees pictures of `small_size`.
        bias_lr: the highest learning rate of biases.
        head_lr: that of the last layer.
        lr: that of the convolutions: about the angle, in radians, by which a step turns a filter.
        decay: how learning rates fall to 0, "cosine" or "linear".
        **options: those of `Classifier`; `weight_decay` is per step and acts on biases and the last layer.
    """

    def __init__(
        self,
        widths: list[int] = (64, 256, 256),
        depth: int = 2,
        norm_momentum: float = 0.1,
        small_size: int = 24,
        small_share: float = 0.0,
        hard_share: float = 1.0,
        proxy_widths: list[int] = (32, 64, 64),
        bias_lr: float = 26.0,
        head_lr: float = 0.005,
        decay: str = "cosine",
        **options,
    ):
        if "optimizer" in options:
            raise ValueError("FastCNNClassifier is trained by Muon and SGD and takes no optimizer; leave it out")
        super().__init__(**options)
        if not 0 <= small_share < 1:
            raise ValueError(
                f"small_share={small_share} must be at least 0 and less than 1: the end needs whole pictures"
            )
        groups, side = max(len(widths), len(proxy_widths)), min(self.hparams.shape[1:])
        least = max(16, 2**groups + 1)  # each group halves what is left
        if not least <= small_size <= side:
            raise ValueError(
                f"small_size={small_size} must lie between {least} and {side}: "
                f"shape={list(self.hparams.shape)}, {groups} widths"
            )
        number("(0, 1]", hard_share=hard_share)
        for width in proxy_widths:
            whole(proxy_widths=width)
        number("(0, inf)", bias_lr=bias_lr, head_lr=head_lr)
        choose("decay", decay, DECAYS)
        channels, classes = self.hparams.shape[0], self.hparams.num_classes
        self.network = WhitenedCNN(channels, classes, widths, depth, norm_momentum)
        self.proxy = WhitenedCNN(channels, classes, proxy_widths) if hard_share < 1 else None

    def setup(self, stage: str) -> None:
        super().setup(stage)
        unknown = [network for network in self._trained() if not network.whitened.known]
        if stage == "fit" and unknown:
            pixels = self.normalised(self._training_images("the first layer's filters")[:WHITENED_ON])
            for network in unknown:
                network.whiten(pixels)

    def _trained(self) -> list[WhitenedCNN]:
        return [self.network] if self.proxy is None else [self.network, self.proxy]

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        if self.proxy is None:
            return super().training_step(batch, batch_idx)
        hard = self.hardest(batch)
        proxy_loss = self._proxy_losses(hard).mean()
        self.log("train/proxy_loss", proxy_loss)
        return super().training_step(hard, batch_idx) + proxy_loss

    @torch.no_grad()
    def hardest(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The part of a batch that has the highest loss with the proxy: B -> n = `hard_share` B of everything."""
        losses = self._proxy_losses(batch)
        index = losses.topk(math.ceil(self.hparams.hard_share * len(losses))).indices
        return {name: values[index] for name, values in batch.items()}

    def _proxy_losses(self, batch: dict[str, Tensor]) -> Tensor:
        """The proxy's loss on each picture: (B,)."""
        logits = self.proxy(self._small(self.normalised(batch["image"]))).float()
        smoothing = self.hparams.label_smoothing
        return F.cross_entropy(logits, batch["label"], label_smoothing=smoothing, reduction="none")

    def training_logits(self, images: Tensor) -> Tensor:
        pixels, step = self.normalised(images), self.trainer.global_step
        total = total_steps(self.trainer, step, self.trainer.estimated_stepping_batches)
        if math.isfinite(total) and step < self.hparams.small_share * total:
            pixels = self._small(pixels)
        return self.network(pixels).float()

    def _small(self, pixels: Tensor) -> Tensor:
        size = [self.hparams.small_size] * 2
        return F.interpolate(pixels.float(), size, mode="bilinear", antialias=True).to(pixels.dtype)  # no bfloat16

    def configure_optimizers(self):
        hp, networks = self.hparams, self._trained()
        biases = [norm.bias for network in networks for group in network.groups for norm in group.norms]
        heads = [network.head.weight for network in networks]
        groups = [
            {"params": biases, "lr": hp.bias_lr, "weight_decay": hp.weight_decay / hp.bias_lr},
            {"params": heads, "lr": hp.head_lr, "weight_decay": hp.weight_decay / hp.head_lr},
        ]
        filters = [matrix for network in networks for matrix in network.filters()]
        muon = optim.Muon(filters, hp.lr, weight_decay=0.0, momentum=0.6, ns_steps=3)
        sgd = optim.SGD(groups, momentum=0.85, nesterov=True)
        return with_warmup_cosine(CombinedOptimizer(muon, sgd), self.trainer, hp.warmup, hp.decay)

    @torch.no_grad()
    def on_before_optimizer_step(self, optimizer: optim.Optimizer) -> None:
        """Batch norm takes out a filter's length, and a step of given length turns a longer filter less: keep all at
        length 1, on average."""
        for network in self._trained():
            for filters in network.filters():  # (C', 9 C)
                filters.mul_(len(filters) ** 0.5 / filters.norm())

    def filters(self) -> Tensor:
        return self.network.first_weight
