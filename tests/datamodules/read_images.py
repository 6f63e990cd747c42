"""All images of a split, in their order, as datamodules read them."""

from collections.abc import Sequence

import torch

from datamodules.decoded_images import Decoder
from datamodules.image_sources import RowSource
from datamodules.images import ImageSet


def read_images(
    source: str,
    split: str,
    shape: tuple[int, int, int],
    class_names: Sequence[str],
    image_column: str = "image",
    label_column: str = "label",
) -> ImageSet:
    """Those of Parquet files or a Hub id."""
    encoded = RowSource(source, image_column, label_column).read(split, class_names)
    ((images, labels),) = Decoder(shape)(encoded, [torch.arange(len(encoded))])
    return ImageSet(images, labels, class_names)
