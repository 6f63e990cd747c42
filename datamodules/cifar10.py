"""Photographs of ten kinds of things (Krizhevsky 2009): 50,000 to train on, 10,000 to test, 32 x 32 colour pixels."""

from datamodules.published_images import PublishedImages


class CIFAR10(PublishedImages):
    """{"image": (B, 3, 32, 32) uint8, "label": (B,)}; arguments as `PublishedImages`.

    Args:
        source: a Hub id, a folder, or "fonts".
        **options: those of `PublishedImages`.
    """

    shape = (3, 32, 32)
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    image_column = "img"

    def __init__(self, source: str = "uoft-cs/cifar10", **options):
        super().__init__(source, **options)
