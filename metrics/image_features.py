"""What a network makes of images, by which sets of them are compared.

B batch, C channels, H height, W width, F features, N images.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, Self

import torch
from rich.progress import track
from torch import Tensor

BATCH = 250  # images in a forward pass


class FeatureExtractor(Protocol):
    """A network that gives features of images."""

    @property
    def device(self) -> torch.device:
        """Where its weights are."""

    def to(self, device: torch.device) -> Self:
        """Itself, moved to the device."""

    def features(self, images: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> (B, F)."""


class ImageFeatures(ABC):
    """Says which feature extractor is meant, which is loaded when a run begins.

    Attributes:
        name: of it, in the names of metrics: test/fid/NAME.
    """

    name: str

    @abstractmethod
    def load(self, shape: Sequence[int] | None) -> FeatureExtractor:
        """The extractor. Raises ValueError where it cannot read images of this shape (C, H, W), where that is known."""


@torch.no_grad()
def extract(network: FeatureExtractor, images: Tensor, what: str = "features of images", bar: bool = True) -> Tensor:
    """(N, C, H, W) uint8 -> (N, F), on the CPU; a progress bar, where it is wanted, says `what` is computed."""
    parts = track(images.split(BATCH), what, transient=True, disable=not bar)
    return torch.cat([network.features(part.to(network.device)).cpu() for part in parts])
