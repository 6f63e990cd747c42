"""Selection via proxy: train on the hardest part of each batch, which a small network finds.

Most images have little left to teach after a few epochs. Coleman et al. 2020, "Selection via Proxy" (arXiv:1906.11829);
Loshchilov & Hutter 2015, "Online Batch Selection" (arXiv:1511.06343).

B batch, n of a batch that are trained on, C channels, H height, W width, K classes.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from limits import number, whole
from networks.image_classifier import NetworkFactory
from optim.progressive_resizing import resized


class SelectionViaProxy:
    """A proxy reads each batch first; it and the network then learn from the part on which its loss is highest.

    Args:
        proxy: makes the small network, of (C, H, W) and K.
        share: of each batch that is trained on, more than 0; 1 for all of it.
        size: height and width of the images that the proxy sees; without it they are whole.
    """

    def __init__(self, proxy: NetworkFactory, share: float = 0.5, size: int | None = None):
        number("(0, 1]", share=share)
        if size is not None:
            whole(size=size)
        self.proxy, self.share, self.size = proxy, share, size

    def losses(self, proxy: nn.Module, images: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """The proxy's cross-entropy on each image: normalised images (B, C, H, W) and labels (B,) -> (B,)."""
        number("[0, 1)", label_smoothing=label_smoothing)
        logits = proxy(images if self.size is None else resized(images, self.size)).float()
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="none")

    def hardest(self, losses: Tensor) -> Tensor:
        """Indices of the highest losses: (B,) -> (n,), n = `share` B, rounded up."""
        return losses.topk(math.ceil(self.share * len(losses))).indices
