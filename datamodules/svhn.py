"""House numbers seen from the street (Netzer et al. 2011): crops of 32 x 32 colour pixels, one digit in the middle.

The Hub's `cropped_digits` has 73,257 digits to train on and 26,032 to test; its authors allow non-commercial use only.
A source may hold the test split alone, as `FIRSTLIGHT_DATA/svhn` does with the first 10,000 of it: then `val_share` of
these, 1,000, are held out, for validation and test alike, and the other 9,000 are trained on. A figure from there says
nothing of the Hub's test split, of which the model has seen a part.
"""

from collections.abc import Sequence
from functools import cached_property

from torch import Tensor

from datamodules import sources
from datamodules.encoded_images import EncodedImages
from datamodules.fonts import FONTS
from datamodules.published_images import PublishedImages


class SVHN(PublishedImages):
    """{"image": (B, 3, 32, 32) uint8, "label": (B,)}; arguments as `PublishedImages`.

    Args:
        source: a Hub id, a folder, or "fonts".
        val_share: share of the training split that is held out for validation; of a source that has only a test split,
            the share that is held out for both validation and test.
        **options: those of `PublishedImages`.
    """

    shape = (3, 32, 32)
    class_names = tuple("0123456789")

    def __init__(self, source: str = "ufldl-stanford/svhn", val_share: float = 0.1, **options):
        super().__init__(source, val_share=val_share, **options)

    def _splits(self) -> dict[str, str]:
        return {"train": "test"} if self._test_only else super()._splits()

    def _parts(self, encoded: EncodedImages, sets: Sequence[str]) -> dict[str, Tensor]:
        if not self._test_only:
            return super()._parts(encoded, sets)
        parts = super()._parts(encoded, ["train", "val"])
        if not len(parts["val"]):
            raise ValueError(
                f"val_share={self.hparams.val_share} holds nothing out, and {self.hparams.source!r} has only a test "
                "split to train and test on; set val_share to 0.1"
            )
        return {**parts, "test": parts["val"]}

    @cached_property
    def _test_only(self) -> bool:
        return self.hparams.source != FONTS and "train" not in sources.splits(self.hparams.source)
