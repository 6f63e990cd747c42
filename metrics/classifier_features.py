"""Features and answers of an image classifier, by which samples are measured.

C channels, H height, W width, F features, N images.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from metrics.image_features import FeatureExtractor, extract


class FeatureClassifier(FeatureExtractor, Protocol):
    """A classifier whose last layer can be taken off: `features` are what it reads."""

    hparams: Any  # with the `shape` of its images, where it says so
    head: nn.Linear  # features to logits


class Features(NamedTuple):
    """What a classifier makes of N images."""

    features: Tensor  # (N, F)
    predicted: Tensor  # (N,) classes


@torch.no_grad()
def extract_features(classifier: FeatureClassifier, images: Tensor, what: str = "images", bar: bool = True) -> Features:
    """Features and classes of images (N, C, H, W) uint8; a progress bar, where it is wanted, says `what` they are."""
    features = extract(classifier, images, f"features of {what}", bar)
    return Features(features, classifier.head(features.to(classifier.device)).argmax(1).cpu())


def check_classifier(
    classifier: FeatureClassifier, name: str, shape: Sequence[int] | None, class_names: Sequence[str]
) -> None:
    """Raises ValueError where it is no classifier, or reads images of another shape, or other classes, than the data's.

    Args:
        classifier: to check.
        name: of it, for messages.
        shape: C, H, W of the data's images, where it is known.
        class_names: of the data. Numbers count as no names.
    """
    if missing := [part for part in ("features", "head") if not hasattr(classifier, part)]:
        raise ValueError(
            f"{name} is of a {type(classifier).__name__}, which lacks {', '.join(missing)}; name a classifier"
        )
    own, classes = classifier.hparams.get("shape"), classifier.head.out_features
    advice = "name a classifier that was trained on such data, or leave the callback out"
    if own is not None and shape is not None and list(own) != list(shape):
        raise ValueError(
            f"the classifier {name} reads images of shape {list(own)}, the data's are {list(shape)}; {advice}"
        )
    if classes != len(class_names):
        raise ValueError(
            f"the classifier {name} tells {classes} classes apart, the data have {len(class_names)}; {advice}"
        )
    known, numbers = list(getattr(classifier, "class_names", ())), [str(number) for number in range(classes)]
    if known and list(class_names) != known and numbers not in (known, list(class_names)):
        raise ValueError(
            f"the classifier {name} knows the classes {_some(known)}, the data {_some(class_names)}; {advice}"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:5], "..."] if len(names) > 5 else names)
