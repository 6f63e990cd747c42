"""Published image sets: what they hold is known before anything is read, and everybody splits them alike."""

from collections.abc import Sequence

from torch import Tensor

from datamodules import fonts, held_out
from datamodules.encoded_images import EncodedImages
from datamodules.images import Images


class PublishedImages(Images):
    """A set with a training and a test split, whose subclass says `shape`, `class_names` and names of columns.

    Validation images are drawn from the training split by their place in it and `split_seed`. A source with other
    classes than the set's own, such as letters in MNIST's layout, is taken, too: files on this machine are asked at
    once, others when `setup` reads them. Of these say `class_names`, so that the model has as many classes.

    Args:
        source: where the images are: a Hub id, a folder, or "fonts".
        val_share: share of the training split that is held out for validation; 0 for none.
        **options: those of `datamodules.images.Images`.
    """

    image_column = "image"
    label_column = "label"

    def __init__(self, source: str, val_share: float = 0.05, **options):
        if not hasattr(self, "shape"):
            raise ValueError(
                f"{type(self).__name__} does not say what its images are; take datamodules.images.Images for your own, "
                "datamodules.mnist.MNIST or another published set, or a subclass with a shape and class_names"
            )
        super().__init__(source, val_share=val_share, test_share=0.0, broken_share=0.0, **options)
        self._other_names = self.hparams.class_names is None

    def _shape(self, sides: list[int] | None, channels: int | None) -> tuple[int, int, int]:
        height, width = sides or self.shape[1:]
        return channels or self.shape[0], height, width

    def _known_names(self) -> Sequence[str]:
        """The source's, where it can be asked at once and has others than the set."""
        own = self._source.names_at_hand()
        return self.class_names if own is None or set(own) <= set(self.class_names) else own

    def _splits(self) -> dict[str, str]:
        return {"train": "train", "test": "test"}

    def _read(self, split: str) -> EncodedImages:
        try:
            encoded = self._source.read(split, self.class_names, self._other_names)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}; or draw digits from fonts with --data.source {fonts.FONTS}") from error
        self._other_names = False
        return encoded

    def _hold_out(self, encoded: EncodedImages, among: Tensor, share: float) -> tuple[Tensor, Tensor]:
        return held_out.split(len(among), "images", share, self.hparams.split_seed)
