"""Labelled images in memory: decoded once to uint8, indexed a batch at a time, augmented on the device.

    source ─► split ─► decoded once, kept in a cache file ─► ImageSet ─► batch of uint8 ─► device ─► augmentation
                            └─► what is held out of it          └─► mean and std of each channel

`Images` takes a user's own: folders of image files, Parquet, the Hub. A published set is a small subclass that says
what it holds (`datamodules.published_images`).

N images of a set, B of a batch, C channels, H height, W width.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader

import limits
from datamodules import augmentation, fonts, held_out
from datamodules.augmentation import Augmentation
from datamodules.channel_statistics import channel_statistics
from datamodules.decoded_images import Decoder
from datamodules.device_resident import OnDevice, ResidentDataModule, ResidentSet, index_on
from datamodules.encoded_images import EncodedImages, image_shape_of
from datamodules.image_files import ImageFiles, dark_on_light, read_image_files
from datamodules.image_folder import SPLITS
from datamodules.image_sources import FolderSource, ImageSource, open_source

MOST_PIXELS = 4096  # of a side
SETS = {"train": "train", "val": "validation", "test": "test"}  # and the split that each is, where the source has it
SETS_OF = {"fit": ("train", "val"), "validate": ("train", "val"), "test": ("test",), "predict": ("test",)}


class ImageSet(ResidentSet):
    """Images and their classes, a batch at a time: {"image": (B, C, H, W) uint8, "label": (B,), "index": (B,)}.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) int64 classes from 0.
        class_names: what the classes are called, where it is known.
    """

    held = ("images", "labels")

    def __init__(self, images: Tensor, labels: Tensor, class_names: Sequence[str] = ()):
        self.images, self.labels, self.class_names = images, labels, tuple(class_names)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        index = index_on(self.images.device, indices)
        return {"image": self.images[index], "label": self.labels[index], "index": index}

    def subset(self, indices: Tensor) -> "ImageSet":
        """A set of its own with a copy of some of the images."""
        return ImageSet(self.images[indices], self.labels[indices], self.class_names)


class Images(ResidentDataModule):
    """Labelled images: {"image": (B, C, H, W) uint8, "label": (B,)}. After `setup`: `train_set`, `val_set`, `test_set`.

    The source is a folder of classes (`datamodules.image_folder`), or Parquet files or a Hub id with a column of images
    and one of classes. Shape and classes are found by a look at it; nothing else need be said where all images have one
    size. Of a Hub id this fetches the data, unless `size`, `channels` and `class_names` are given.

    Where there is no test split, `test_share` of the training images is held out for it, and then, where there is no
    validation split, `val_share` of what is left. An image's side follows from its file's contents and `split_seed`:
    copies of a file are on one side, whatever their names.

    Args:
        source: a folder, a Parquet file or a Hub id (`datamodules.sources`), or "fonts" (`datamodules.fonts`).
        batch_size: images in a batch.
        augment: changes to training batches, in this order (`datamodules.augmentation`). None for no changes.
        size: height and width, or one number for both: images are cropped to the middle in these proportions and
            resampled. None where all have the same size.
        channels: 1 for grey, 3 for colour; by default colour where an image that was looked at has some.
        val_share: share of the training images that is held out for validation; 0 for none.
        test_share: share of all that is held out for the test; 0 for none.
        split_seed: draws which ones.
        images: for `predict`, a folder with images of your own, of any size (`datamodules.image_files`); without it
            `predict` takes the test images.
        image_column: which column holds images; None for the only one that can.
        label_column: which one holds classes; None for the only one that can, or one called `label` or alike.
        class_names: in the order in which labels count; by default those of the source.
        invert: take the negative of every image: for dark ink on light paper where the model knows light on dark.
        broken_share: share of the images that may be impossible to read: they are named and left out.
        in_memory: GB of decoded images that are held in memory; of a larger set they stay in files in the cache, from
            which batches are read.
        on_device: whether images are held on the GPU (`datamodules.device_resident`).

    Raises FileNotFoundError where there is nothing at the source, ValueError where it does not hold such images.
    """

    shape: tuple[int, int, int]  # (C, H, W)
    class_names: tuple[str, ...]
    image_column: str | None = None
    label_column: str | None = None
    light_on_dark = False  # whether the data set shows light ink on a dark ground
    train_set: ImageSet
    val_set: ImageSet
    test_set: ImageSet

    def __init__(
        self,
        source: str,
        batch_size: int = 512,
        augment: list[Augmentation] | None = None,
        size: int | list[int] | None = None,
        channels: Literal[1, 3] | None = None,
        val_share: float = 0.1,
        test_share: float = 0.1,
        split_seed: int = 0,
        images: str | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        class_names: list[str] | None = None,
        invert: bool = False,
        broken_share: float = 0.01,
        in_memory: float = 4.0,
        on_device: OnDevice = "auto",
    ):
        super().__init__(on_device)
        limits.whole(batch_size=batch_size)
        held_out.check(val_share, split_seed)
        limits.number("[0, 1)", test_share=test_share)
        if channels not in (None, 1, 3):
            raise ValueError(f"channels={channels!r} must be 1 (grey) or 3 (red, green and blue)")
        if class_names is not None and source == fonts.FONTS:
            raise ValueError(f"class_names={class_names}: digits from fonts have names of their own")
        if class_names is not None and len(set(class_names)) != max(1, len(class_names)):
            raise ValueError(f"class_names={class_names}: each class needs a name of its own")
        self.save_hyperparameters(ignore=["augment"])
        self.image_column, self.label_column = image_column or self.image_column, label_column or self.label_column
        sides = _sides(size)
        self.shape = self._shape(sides, channels)
        self.class_names = tuple(class_names or self._known_names())
        self.augment = list(augment or [])
        augmentation.check(self.augment, self.shape)
        advice = "; name one size for all, such as --data.size 32"
        self._decoder = Decoder(self.shape, sides is not None, invert, broken_share, in_memory, advice)

    def _shape(self, sides: list[int] | None, channels: int | None) -> tuple[int, int, int]:
        """C, H, W: what is asked for, else what images show."""
        if sides and channels:
            return channels, sides[0], sides[1]
        from_fonts = self.hparams.source == fonts.FONTS
        seen = fonts.SHAPE if from_fonts else image_shape_of(self._source.head(), self.hparams.source, sides)
        height, width = sides or seen[1:]
        return channels or seen[0], height, width

    def _known_names(self) -> Sequence[str]:
        """Names of the classes, where none are given."""
        return self._source.class_names

    @cached_property
    def _source(self) -> ImageSource:
        if self.hparams.source == fonts.FONTS:
            return fonts.FontSource(self.shape)
        opened = open_source(self.hparams.source, self.image_column, self.label_column)
        empty = opened.folder.empty if isinstance(opened, FolderSource) else []
        if empty:
            _say(f"no classes, since they hold no images: {', '.join(empty)}")
        return opened

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    def channel_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel of the training images, in [0, 1]: (C,) each.

        Raises ValueError before `setup("fit")`.
        """
        return channel_statistics(self._training_set().images)

    def training_images(self, count: int) -> Tensor:
        """The first `count` training images, or all where they are fewer, as they are: (n, C, H, W) uint8.

        Raises ValueError before `setup("fit")`.
        """
        limits.whole(count=count)
        return self._training_set().images[:count]

    def _training_set(self) -> ImageSet:
        if not hasattr(self, "train_set"):
            raise ValueError('the training images are not read yet; call setup("fit") first')
        return self.train_set

    def training_and_test_sets(self) -> tuple[ImageSet, ImageSet]:
        """All training and all test images, whatever stage was set up; what is not read yet is read now."""
        self.setup()
        return self.train_set, self.test_set

    def prepare_data(self) -> None:
        if self.hparams.images is None:  # of a user's own images nothing is kept that others could read
            super().prepare_data()

    def setup(self, stage: str | None = None) -> None:
        if stage == "predict" and self.hparams.images is not None:
            self.predict_set = self._read_own()
            return
        missing = [name for name in SETS_OF.get(stage or "", SETS) if not hasattr(self, f"{name}_set")]
        splits = self._splits() if missing else {}
        origins = {name: split if split in splits else "train" for name, split in SETS.items()}
        for split in dict.fromkeys(origins[name] for name in missing):
            encoded = self._read(splits[split])
            self.class_names = encoded.class_names
            parts = self._parts(encoded, [name for name in SETS if origins[name] == split])
            wanted = [name for name in parts if name in missing]
            found = self._decoder(encoded, [parts[name] for name in wanted])
            for name, (images, labels) in zip(wanted, found, strict=True):
                setattr(self, f"{name}_set", ImageSet(images, labels, self.class_names))

    def _splits(self) -> dict[str, str]:
        """What the source calls each of its splits."""
        return {SPLITS.get(name.lower(), name): name for name in self._source.splits}

    def _read(self, split: str) -> EncodedImages:
        return self._source.read(split, self.class_names)

    def _parts(self, encoded: EncodedImages, sets: Sequence[str]) -> dict[str, Tensor]:
        """Which images of a split are whose: each set but the first is held out of it, the last one first."""
        first, *others = sets
        parts: dict[str, Tensor] = {}
        rest = torch.arange(len(encoded))
        for name in reversed(others):
            kept, held = self._hold_out(encoded, rest, self.hparams[f"{name}_share"])
            parts[name], rest = rest[held], rest[kept]
        return {first: rest, **parts}

    def _hold_out(self, encoded: EncodedImages, among: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Places in `among`, which are indices of images: of what is kept and of what is held out."""
        contents = [encoded.contents[index] if share else b"" for index in among.tolist()]
        return held_out.split_by_content(contents, "images", share, self.hparams.split_seed)

    def _read_own(self) -> ImageFiles:
        found = read_image_files(self.hparams.images, self.shape)
        if self.hparams.invert:
            found.images = 255 - found.images
        dark = int(dark_on_light(found.images).sum()) if self.light_on_dark else 0
        if dark:
            other = "false" if self.hparams.invert else "true"
            _say(
                f"{dark} of {len(found)} images look like dark ink on light paper, and {type(self).__name__} shows "
                f"light ink on a dark ground: they may be misread; try --data.invert {other}"
            )
        return found

    def train_dataloader(self) -> DataLoader:
        return self.loader(self.train_set, shuffle=True, drop_last=len(self.train_set) >= self.hparams.batch_size)

    def val_dataloader(self) -> DataLoader | list:
        return self.loader(self.val_set) if len(self.val_set) else held_out.no_validation(self)

    def test_dataloader(self) -> DataLoader:
        if not len(self.test_set):
            raise ValueError(
                f"test_share={self.hparams.test_share} holds nothing out, and {self.hparams.source!r} has no test "
                "split; raise it, or add a folder test/"
            )
        return self.loader(self.test_set)

    def predict_dataloader(self) -> DataLoader:
        return self.loader(self.test_set if self.hparams.images is None else self.predict_set)

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        return self.augmented(batch, self.trainer.current_epoch) if self.trainer and self.trainer.training else batch

    def augmented(self, batch: dict[str, Tensor], epoch: int) -> dict[str, Tensor]:
        """A training batch of that epoch with its images changed as `augment` says."""
        image = batch["image"]
        for augment in self.augment:
            image = augment(image, batch["index"], epoch)
        return {**batch, "image": image}


def _sides(size: int | Sequence[int] | None) -> list[int] | None:
    """Height and width."""
    if size is None:
        return None
    sides = [size, size] if isinstance(size, int) else list(size)
    for side in sides:
        limits.whole(1, MOST_PIXELS, size=side)
    if len(sides) != 2:
        raise ValueError(f"size={size} must be one number, or a height and a width")
    return sides


def _say(line: str) -> None:
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]  # set by Lightning
        Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(line)


def batch_size(batch: dict[str, Tensor]) -> int:
    """Images in a batch, for Lightning's `ThroughputMonitor`."""
    return len(batch["image"])
