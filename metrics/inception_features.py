"""Features of the Inception network of the first papers on FID, from a file of its weights.

Szegedy et al. 2015, trained on ImageNet, as converted from TensorFlow for Heusel et al. 2017. Firstlight does not ship
these 91 MB: figures in these features are the literature's FID where as many samples are drawn.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from metrics.image_features import ImageFeatures

FILE = "weights-inception-2015-12-05-6726825d.pth"  # as torch-fidelity publishes it
SHA256 = "6726825d"  # of its contents, the first digits: the file's name says them


class InceptionFeatures(ImageFeatures):
    """The 2,048 features that the last layer reads.

    Grey images are shown in three equal channels. Images are resized to 299 x 299 pixels as TensorFlow 1 did.

    Args:
        weights: a file of torch-fidelity's weights, such as weights-inception-2015-12-05-6726825d.pth.
        sha256: the first digits, 8 at least, of the SHA-256 of its contents; those of that file by default.

    Raises FileNotFoundError where there is no such file, ValueError where it holds something else: with other weights
    one gets other figures, and nothing would say so. It is read only after that.
    """

    name = "inception"

    def __init__(self, weights: str, sha256: str = SHA256):
        if len(sha256) < 8 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError(f"sha256={sha256!r} must be at least 8 hexadecimal digits, in small letters")
        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {weights}; FID in Inception features needs {FILE}")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not found.startswith(sha256):
            raise ValueError(
                f"{weights} is not the file that was asked for: its SHA-256 begins with {found[:16]}, and not with "
                f"{sha256}; figures of other weights cannot be compared. Get {FILE}, or say sha256: {found[:16]}"
            )
        self.weights, self.sha256 = weights, sha256

    def load(self, shape: Sequence[int] | None) -> "InceptionNetwork":
        """The network. ImportError without torch-fidelity; ValueError for images that are neither grey nor RGB."""
        if shape is not None and shape[0] not in (1, 3):
            raise ValueError(f"Inception reads images of 1 or 3 channels; the data's have {shape[0]}")
        return InceptionNetwork(self.weights)


class InceptionNetwork(nn.Module):
    """Inception, in eval mode: `metrics.image_features.FeatureExtractor`."""

    def __init__(self, weights: str):
        super().__init__()
        try:
            import torch_fidelity  # noqa: F401  (whose network torchmetrics takes)
        except ImportError as error:
            raise ImportError("Inception's features need torch-fidelity; pip install 'torch-fidelity<0.5'") from error
        from torchmetrics.image.fid import NoTrainInceptionV3

        self.network = NoTrainInceptionV3("inception-v3-compat", ["2048"], weights, antialias=False)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def features(self, images: Tensor) -> Tensor:
        """(B, 1 or 3, H, W) uint8 -> (B, 2048) float32."""
        return self.network(images.expand(-1, 3, -1, -1))
