"""Handwritten digits (LeCun et al. 1998): 60,000 to train on, 10,000 to test, 28 x 28 grey pixels."""

from datamodules.published_images import PublishedImages


class MNIST(PublishedImages):
    """{"image": (B, 1, 28, 28) uint8, white on black, "label": (B,)}; arguments as `PublishedImages`.

    Args:
        source: a Hub id, a folder, or "fonts".
        **options: those of `PublishedImages`.
    """

    shape = (1, 28, 28)
    class_names = tuple("0123456789")
    light_on_dark = True

    def __init__(self, source: str = "ylecun/mnist", **options):
        super().__init__(source, **options)
