"""What a classifier of images asks of its network.

Only `NetworkFactory` is required. The protocols are optional: a network without them trains, tests and predicts all the
same, and what needs them says that they are missing.

B batch, C channels, H height, W width, F features, K classes.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor, nn

from networks.statistics_flag import StatisticsFlag

NetworkFactory = Callable[[Sequence[int], int], nn.Module]
"""(C, H, W) and K -> a network that maps normalised images (B, C, H, W) to logits (B, K)."""


class FeatureNetwork(Protocol):
    """A network that ends in a linear layer, whose inputs FID and nearest neighbours compare."""

    head: nn.Linear

    def features(self, x: Tensor) -> Tensor:
        """What `head` reads: (B, C, H, W) -> (B, F)."""


class FilterNetwork(Protocol):
    """A network whose first layer can be looked at."""

    def first_filters(self) -> Tensor:
        """Weights of the first layer as images: (n, C, h, w)."""


class WhitenedNetwork(Protocol):
    """A network with a layer that is not learned but measured on training images, before the first step."""

    whitened: StatisticsFlag

    def whiten(self, images: Tensor) -> None:
        """Measure it on normalised images (N, C, H, W) and set `whitened`."""
