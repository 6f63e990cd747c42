"""House numbers seen from the street (Netzer et al. 2011): crops of 32 x 32 colour pixels, one digit in the middle.

The Hub's `cropped_digits` has 73,257 digits to train on and 26,032 to test; its authors allow non-commercial use only.
A source may hold the test split alone, as `FIRSTLIGHT_DATA/svhn` does with the first 10,000 of it: then `val_share` of
these, 1,000, are held out, for validation and test alike, and the other 9,000 are trained on. A figure from there says
nothing of the Hub's test split, of which the model has seen a part.
"""

from datamodules import sources
from datamodules.images import FONTS, ImageDataModule


class SVHN(ImageDataModule):
    """{"image": (B, 3, 32, 32) uint8, "label": (B,)}; arguments as `ImageDataModule`.

    Args:
        source: a Hub id, a folder, or "fonts".
        val_share: share of the training split that is held out for validation; of a source that has only a test split,
            the share that is held out for both validation and test.
        **options: those of `ImageDataModule`.
    """

    shape = (3, 32, 32)
    class_names = tuple("0123456789")

    def __init__(self, source: str = "ufldl-stanford/svhn", val_share: float = 0.1, **options):
        super().__init__(source, val_share=val_share, **options)

    def setup(self, stage: str | None = None) -> None:
        if not hasattr(self, "test_set") and self._test_only():
            self.train_set, self.val_set = self._split(self._read("test"))
            if not len(self.val_set):
                raise ValueError(
                    f"val_share={self.hparams.val_share} holds nothing out, and {self.hparams.source!r} has only a "
                    "test split to train and test on; set val_share to 0.1"
                )
            self.test_set = self.val_set
        super().setup(stage)

    def _test_only(self) -> bool:
        return self.hparams.source != FONTS and "train" not in sources.splits(self.hparams.source)
