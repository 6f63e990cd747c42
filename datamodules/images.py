"""Labelled images in memory: decoded once to uint8, indexed a batch at a time, augmented on the device.

    source ─► rows ─► decoded once, kept in a cache file ─► ImageSet ─► batch of uint8 ─► device ─► augmentation
                                                               └─► mean and std of each channel

`Images` takes a user's own: folders of image files, Parquet, the Hub. A published set is a subclass of
`ImageDataModule` that says what it holds (see `datamodules.mnist`).

N images of a set, B of a batch, C channels, H height, W width.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader

import limits
from datamodules import augmentation, fonts, held_out, sources
from datamodules.augmentation import Augmentation
from datamodules.channel_statistics import channel_statistics
from datamodules.decoded_images import Decoder
from datamodules.device_resident import OnDevice, ResidentDataModule, ResidentSet, index_on
from datamodules.encoded_images import EncodedImages, FolderSource, RowSource, image_shape_of, open_source, read_rows
from datamodules.image_files import ImageFiles, dark_on_light, read_image_files
from datamodules.image_folder import SPLITS

FONTS = "fonts"
MOST_PIXELS = 4096  # of a side
SETS = ("train", "val", "test")


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


def read_images(
    source: str,
    split: str,
    shape: tuple[int, int, int],
    class_names: Sequence[str],
    image_column: str = "image",
    label_column: str = "label",
    other_names: bool = True,
    invert: bool = False,
) -> ImageSet:
    """All images of one split of a source (`datamodules.sources`), or digits drawn from fonts where it is "fonts".

    Images of another colour mode are converted to `shape`'s channels (`datamodules.image_reader`); another height or
    width is an error, and so is an image that cannot be read. Classes as `datamodules.encoded_images.read_rows`.

    Raises FileNotFoundError where there is nothing at the source, ValueError where it does not hold such images.
    """
    if source == FONTS:
        images, labels = fonts.digits(split, shape)
        return ImageSet(255 - images if invert else images, labels, fonts.CLASS_NAMES)
    try:
        encoded = read_rows(source, split, class_names, image_column, label_column, other_names)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; or draw digits from fonts with --data.source {FONTS}") from error
    except ValueError as error:
        if "lacks the column" not in str(error):
            raise
        raise ValueError(
            f"{error}; say which hold images and labels with --data.image_column and --data.label_column"
        ) from error
    return ImageSet(*Decoder(shape, invert=invert)(encoded), encoded.class_names)


class ImageDataModule(ResidentDataModule):
    """Training, validation and test images of one data set. After `setup`: `train_set`, `val_set`, `test_set`.

    A subclass says what its data are (`shape`, `class_names`, names of columns) and where they are by default.

    Args:
        source: where the images are: a Hub id, a folder (`datamodules.sources`), or "fonts" (`datamodules.fonts`).
        batch_size: images in a batch.
        augment: changes to training batches, in this order (`datamodules.augmentation`). None for no changes.
        val_share: share of the training split that is held out for validation; 0 for none.
        split_seed: draws which ones.
        images: for `predict`, a folder with images of your own, of any size (`datamodules.image_files`); without it
            `predict` takes the test images.
        image_column: which column of the source holds images, if not the data set's usual one.
        label_column: which one holds classes, likewise.
        class_names: the classes, where they are not the data set's own; by default other ones are those that the source
            names. Files on this machine are asked at once, others when `setup` reads them: of these say it here, so
            that the model has as many classes.
        invert: take the negative of every image: for dark ink on light paper where the model knows light on dark.
        on_device: whether images are held on the GPU (`datamodules.device_resident`).
    """

    shape: tuple[int, int, int]  # (C, H, W)
    class_names: tuple[str, ...]
    image_column = "image"
    label_column = "label"
    light_on_dark = False  # whether the data set shows light ink on a dark ground
    train_set: ImageSet
    val_set: ImageSet
    test_set: ImageSet

    def __init__(
        self,
        source: str,
        batch_size: int = 512,
        augment: list[Augmentation] | None = None,
        val_share: float = 0.05,
        split_seed: int = 0,
        images: str | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        class_names: list[str] | None = None,
        invert: bool = False,
        on_device: OnDevice = "auto",
    ):
        super().__init__(on_device)
        if not hasattr(self, "shape"):
            raise ValueError(
                f"{type(self).__name__} does not say what its images are; take datamodules.images.Images for your own, "
                "datamodules.mnist.MNIST or another published set, or a subclass with a shape and class_names"
            )
        limits.whole(batch_size=batch_size)
        held_out.check(val_share, split_seed)
        if class_names is not None and (source == FONTS or len(set(class_names)) != max(1, len(class_names))):
            wrong = (
                "digits from fonts have names of their own" if source == FONTS else "each class needs a name of its own"
            )
            raise ValueError(f"class_names={class_names}: {wrong}")
        self.save_hyperparameters(ignore=["augment"])
        self.augment = list(augment or [])
        augmentation.check(self.augment, self.shape)
        self.image_column, self.label_column = image_column or self.image_column, label_column or self.label_column
        self.class_names = self._class_names()

    def _class_names(self) -> tuple[str, ...]:
        """The given names; else the source's, where it can be asked at once; else the data set's."""
        if self.hparams.source == FONTS:
            return fonts.CLASS_NAMES
        if self.hparams.class_names:
            return tuple(self.hparams.class_names)
        own = sources.local_class_names(self.hparams.source, self.label_column)
        return tuple(self.class_names if own is None or set(own) <= set(self.class_names) else own)

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
        if stage in (None, "fit", "validate") and not hasattr(self, "train_set"):
            self.train_set, self.val_set = self._split(self._read("train"))
        if stage == "predict" and self.hparams.images is not None:
            self.predict_set = self._read_own()
        elif stage in (None, "test", "predict") and not hasattr(self, "test_set"):
            self.test_set = self._read("test")

    def _read(self, split: str) -> ImageSet:
        first = self.hparams.class_names is None and not self._has_read()
        columns = (self.image_column, self.label_column)
        images = read_images(
            self.hparams.source, split, self.shape, self.class_names, *columns, first, self.hparams.invert
        )
        self.class_names = images.class_names
        return images

    def _has_read(self) -> bool:
        return hasattr(self, "train_set") or hasattr(self, "test_set")

    def _read_own(self) -> ImageFiles:
        found = read_image_files(self.hparams.images, self.shape)
        if self.hparams.invert:
            found.images = 255 - found.images
        dark = int(dark_on_light(found.images).sum()) if self.light_on_dark else 0
        if dark and rank_zero_only.rank == 0:  # type: ignore[attr-defined]  # set by Lightning
            other = "false" if self.hparams.invert else "true"
            Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(
                f"{dark} of {len(found)} images look like dark ink on light paper, and {type(self).__name__} shows "
                f"light ink on a dark ground: they may be misread; try --data.invert {other}"
            )
        return found

    def _split(self, images: ImageSet) -> tuple[ImageSet, ImageSet]:
        train, val = held_out.split(len(images), "images", self.hparams.val_share, self.hparams.split_seed)
        return images.subset(train), images.subset(val)

    def train_dataloader(self) -> DataLoader:
        return self.loader(self.train_set, shuffle=True, drop_last=len(self.train_set) >= self.hparams.batch_size)

    def val_dataloader(self) -> DataLoader | list:
        return self.loader(self.val_set) if len(self.val_set) else held_out.no_validation(self)

    def test_dataloader(self) -> DataLoader:
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


class Images(ImageDataModule):
    """A user's own images: {"image": (B, C, H, W) uint8, "label": (B,)}.

    The source is a folder of classes (`datamodules.image_folder`), or Parquet files or a Hub id with a column of images
    and one of classes. Shape and classes are found by a look at it; nothing else need be said where all images have one
    size. Of a Hub id this fetches the data, unless `size`, `channels` and `class_names` are given.

    Where there is no test split, `test_share` of the training images is held out for it, and then, where there is no
    validation split, `val_share` of what is left. An image's side follows from its file's contents and `split_seed`:
    copies of a file are on one side, whatever their names.

    Args:
        source: a folder, a Parquet file or a Hub id.
        size: height and width, or one number for both: images are cropped to the middle in these proportions and
            resampled. None where all have the same size.
        channels: 1 for grey, 3 for colour; by default colour where an image that was looked at has some.
        val_share: share of the training images that is held out for validation; 0 for none.
        test_share: share of all that is held out for the test; 0 for none.
        broken_share: share of the images that may be impossible to read: they are named and left out.
        in_memory: GB of decoded images that a set holds in memory; more stay in a file in the cache, from which batches
            are read.
        image_column: which column holds images; None for the only one that can.
        label_column: which one holds classes; None for the only one that can, or one called `label` or alike.
        class_names: in the order in which labels count; by default those of the source.
        **options: those of `ImageDataModule`.

    Raises FileNotFoundError where there is nothing at the source, ValueError where it does not hold such images.
    """

    def __init__(
        self,
        source: str,
        size: int | list[int] | None = None,
        channels: Literal[1, 3] | None = None,
        val_share: float = 0.1,
        test_share: float = 0.1,
        broken_share: float = 0.01,
        in_memory: float = 4.0,
        image_column: str | None = None,
        label_column: str | None = None,
        class_names: list[str] | None = None,
        **options,
    ):
        sides = None if size is None else [size, size] if isinstance(size, int) else list(size)
        for side in sides or ():
            limits.whole(1, MOST_PIXELS, size=side)
        if sides is not None and len(sides) != 2:
            raise ValueError(f"size={size} must be one number, or a height and a width")
        if channels not in (None, 1, 3):
            raise ValueError(f"channels={channels!r} must be 1 (grey) or 3 (red, green and blue)")
        limits.number("[0, 1)", test_share=test_share)
        self._asked, self._names = (source, image_column, label_column), class_names
        if sides and channels and class_names:
            self.shape = (channels, sides[0], sides[1])
        else:
            found = image_shape_of(self._source.head(), source, sides)
            self.shape = (channels or found[0], found[1], found[2])
            self._tell_of_empty_folders()
        super().__init__(
            source,
            val_share=val_share,
            image_column=image_column,
            label_column=label_column,
            class_names=class_names,
            **options,
        )
        advice = "; name one size for all, such as --data.size 32"
        self._decoder = Decoder(self.shape, sides is not None, self.hparams.invert, broken_share, in_memory, advice)

    @cached_property
    def _source(self) -> FolderSource | RowSource:
        return open_source(*self._asked)

    def _class_names(self) -> tuple[str, ...]:
        return tuple(self._names or self._source.class_names)

    def _tell_of_empty_folders(self) -> None:
        empty = self._source.folder.empty if isinstance(self._source, FolderSource) else []
        if empty and rank_zero_only.rank == 0:  # type: ignore[attr-defined]  # set by Lightning
            Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(
                f"no classes, since they hold no images: {', '.join(empty)}"
            )

    def setup(self, stage: str | None = None) -> None:
        if stage == "predict" and self.hparams.images is not None:
            self.predict_set = self._read_own()
            return
        wanted = {"fit": ("train", "val"), "validate": ("train", "val"), "test": ("test",), "predict": ("test",)}
        missing = [name for name in wanted.get(stage or "", SETS) if not hasattr(self, f"{name}_set")]
        encoded = self._encoded() if missing else {}
        for name in missing:
            images = ImageSet(*self._decoder(encoded[name]), self.class_names)
            setattr(self, f"{name}_set", images)

    def _encoded(self) -> dict[str, EncodedImages]:
        """The images of each set."""
        splits = {SPLITS.get(name.lower(), name): name for name in self._source.splits}
        train, val, test = (
            self._source.read(splits[split], self.class_names) if split in splits else None
            for split in ("train", "validation", "test")
        )
        assert train is not None  # a source has it
        if test is None:
            train, test = self._hold_out(train, self.hparams.test_share)
        if val is None:
            train, val = self._hold_out(train, self.hparams.val_share)
        return {"train": train, "val": val, "test": test}

    def _hold_out(self, encoded: EncodedImages, share: float) -> tuple[EncodedImages, EncodedImages]:
        contents = encoded.contents if share else [b""] * len(encoded)
        kept, held = held_out.split_by_content(contents, "images", share, self.hparams.split_seed)
        return encoded.subset(kept), encoded.subset(held)

    def test_dataloader(self) -> DataLoader:
        if not len(self.test_set):
            raise ValueError(
                f"test_share={self.hparams.test_share} holds nothing out, and {self.hparams.source!r} has no test "
                "split; raise it, or add a folder test/"
            )
        return super().test_dataloader()


def batch_size(batch: dict[str, Tensor]) -> int:
    """Images in a batch, for Lightning's `ThroughputMonitor`."""
    return len(batch["image"])
