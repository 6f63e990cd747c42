"""The classifier by whose features samples are measured."""

from typing import cast

import lightning as L

from callbacks.image_sets import real_images
from callbacks.sampling import class_names, watching
from checkpoints.load_trained import load_trained
from metrics.classifier_features import FeatureClassifier, check_classifier


def feature_extractor(callback: L.Callback, given: str, module: L.LightningModule) -> FeatureClassifier:
    """A trained classifier that fits the module's data. Asked for when a run begins, it refuses before any work.

    Args:
        callback: that asks for it.
        given: as `checkpoints.load_trained` takes it.
        module: with a trainer.

    Raises FileNotFoundError where there is none, ValueError where it reads other images or tells other classes apart
    than the data have, and where these are no image sets.
    """
    data = real_images(module)
    try:
        with watching(module):
            classifier = cast(FeatureClassifier, load_trained(given))  # it is checked below
    except FileNotFoundError as error:
        name = type(callback).__name__
        raise FileNotFoundError(
            f"{name} measures by a classifier: {error}; train it first, or leave {name} out of trainer.callbacks"
        ) from error
    check_classifier(classifier, given, getattr(data, "shape", None), class_names(module))
    return classifier
