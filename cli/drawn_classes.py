"""`predict` of a model that draws images of classes: it needs their names alone, and no data set."""

import lightning as L

from datamodules.class_labels import ClassLabels


def class_labels_for(
    model: L.LightningModule, data: L.LightningDataModule | None, given: object
) -> L.LightningDataModule | None:
    """The data of `predict`: for a model that draws, a label for each image; for others, the given data.

    A model draws where its hyperparameters have `num_samples`, how many images of all its `num_classes` in turn.

    Args:
        model: of any kind.
        data: that it was configured with.
        given: the user's own images, which a model that draws does not read.

    Raises ValueError where a model that draws is given images.
    """
    if "num_samples" not in model.hparams:
        return data
    if given is not None:
        raise ValueError(
            f"{type(model).__name__} draws images and reads none: leave out --data.images; --model.num_samples says "
            "how many it draws"
        )
    classes, names = model.hparams.get("num_classes") or 0, getattr(data, "class_names", None) or ()
    if classes and classes != len(names):  # no data that it was trained on: classes are numbers
        names = [str(number) for number in range(classes)]
    return ClassLabels(names or ["image"], model.hparams["num_samples"])
