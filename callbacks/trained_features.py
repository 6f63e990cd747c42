"""Features of a trained module of ours, by which samples are measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from checkpoints.load_trained import load_trained
from metrics.image_features import FeatureExtractor, ImageFeatures


class TrainedFeatures(ImageFeatures):
    """Those of any module with `features(images)`.

    Args:
        folder: as `checkpoints.load_trained` takes it, such as pretrained/cifar10_features, which has not seen labels.
        name: in the names of metrics, test/fid/NAME; by default the folder's.
    """

    def __init__(self, folder: str, name: str | None = None):
        self.folder, self.name = folder, Path(folder).name if name is None else name

    def load(self, shape: Sequence[int] | None) -> FeatureExtractor:
        """The module. Raises as `load_trained`, and ValueError where it has no features, or those of other images."""
        module = load_trained(self.folder)
        if not hasattr(module, "features"):
            raise ValueError(
                f"{self.folder} is of a {type(module).__name__}, which has no features(images); name a classifier, or "
                "a run of configs/cifar10_features.yaml"
            )
        own = module.hparams.get("shape")
        if own is not None and shape is not None and list(own) != list(shape):
            raise ValueError(
                f"{self.folder} reads images of shape {list(own)}, the data's are {list(shape)}; train features on "
                "such data"
            )
        return cast(FeatureExtractor, module)
