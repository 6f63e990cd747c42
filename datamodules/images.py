"""Labelled images in memory: decoded once to uint8, indexed a batch at a time, augmented on the device.

    source ─► rows ─► decoded once, kept in a cache file ─► ImageSet ─► batch of uint8 ─► device ─► augmentation
                                                               └─► mean and std of each channel

A data set of its own is a subclass of `ImageDataModule` that says what it holds (see `datamodules.mnist`).

N images of a set, B of a batch, C channels, H height, W width.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

import limits
from datamodules import augmentation, cache, fonts, held_out, sources
from datamodules.augmentation import Augmentation
from datamodules.channel_statistics import channel_statistics
from datamodules.device_resident import OnDevice, ResidentDataModule, ResidentSet, index_on
from datamodules.image_files import ImageFiles, dark_on_light, read_image_files
from datamodules.image_reader import read_image

FONTS = "fonts"
READING = 2  # raise it when images are read differently: old cache files are then left alone


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
) -> ImageSet:
    """All images of one split of a source (`datamodules.sources`), or digits drawn from fonts where it is "fonts".

    Images of another colour mode are converted to `shape`'s channels (`datamodules.image_reader`); another height or
    width is an error. A class is the place of its name in `class_names`, whatever number the data have for that name;
    without names in the data, labels are these places. Names of other classes take the place of `class_names` where
    `other_names` allows.

    Raises FileNotFoundError where there is nothing at the source, ValueError where it does not hold such images.
    """
    if source == FONTS:
        return ImageSet(*fonts.digits(split, shape), fonts.CLASS_NAMES)
    try:
        parts = sources.load_files(source, split, [image_column, label_column])
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; or draw digits from fonts with --data.source {FONTS}") from error
    except ValueError as error:
        if "lacks the column" not in str(error):
            raise
        raise ValueError(
            f"{error}; say which hold images and labels with --data.image_column and --data.label_column"
        ) from error
    labels, files = [], []
    for rows in parts:
        names = getattr(rows.features[label_column], "names", None)
        if other_names and names and not set(names) <= set(class_names):
            class_names, other_names = names, False
        table, what = rows.with_format("arrow")[:], f"column {label_column} of {source!r}"
        labels.append(_labels(table.column(label_column), what, class_names, names))
        files += _files(table.column(image_column), f"column {image_column} of {source!r}", sources.resolve(source))
    # Contents name the cache file: changed data or another shape is other data, wherever it lies.
    key = f"images-{cache.digest([repr((READING, shape)).encode(), *files])}"
    return ImageSet(
        cache.cached(key, lambda: {"images": _decode(files, shape, source)})["images"], torch.cat(labels), class_names
    )


def _labels(column: pa.ChunkedArray, what: str, class_names: Sequence[str], names: Sequence[str] | None) -> Tensor:
    """Places in `class_names`, from labels that are these, or numbers of `names`, or names themselves."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        encoded = column.combine_chunks().dictionary_encode()
        names, column = encoded.dictionary.to_pylist(), encoded.indices
    unknown = [name for name in names or () if name not in class_names]
    if unknown:
        raise ValueError(
            f"{what} names the class {unknown[0]!r}, which is none of {', '.join(class_names)}; "
            "say what they are with --data.class_names"
        )
    count = len(class_names if names is None else names)
    if not pa.types.is_integer(column.type) or column.null_count:
        raise ValueError(f"{what} must hold whole numbers from 0 to {count - 1}; it holds {column.type}")
    labels = torch.from_numpy(column.to_numpy().astype(np.int64))
    if len(labels) and (labels.min() < 0 or labels.max() >= count):
        raise ValueError(f"{what} holds labels from {labels.min()} to {labels.max()}; allowed are 0 to {count - 1}")
    places = range(count) if names is None else map(class_names.index, names)
    return torch.tensor(list(places))[labels]


def _files(column: pa.ChunkedArray, what: str, place: str) -> list[bytes]:
    """Encoded images, from a column of their bytes or one as `datasets` keeps images.

    The latter holds their bytes, or else paths of files that lie in the folder of the data.
    """
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        if column.null_count:
            raise ValueError(f"{what} holds no image in {column.null_count} of its rows")
        return column.to_pylist()
    if not (pa.types.is_struct(column.type) and {"bytes", "path"} <= {field.name for field in column.type}):
        raise ValueError(f"{what} holds {column.type} where images are needed (PNG or JPEG)")
    encoded, paths = (pc.struct_field(column, name).to_pylist() for name in ("bytes", "path"))
    pairs = zip(encoded, paths, strict=True)
    return [_beside(path, what, place) if data is None else data for data, path in pairs]


def _beside(path: str | None, what: str, place: str) -> bytes:
    """The file at a path that data name: no file but one in their own folder, whatever `..` and links say."""
    folder = (Path(place) if Path(place).is_dir() else Path(place).parent).resolve()
    file = (folder / (path or "")).resolve()
    if not (file.is_relative_to(folder) and file.is_file()):
        raise ValueError(f"{what} names the image {path!r}, which is no file in {folder}; put the images' bytes there")
    return file.read_bytes()


def _decode(files: list[bytes], shape: tuple[int, int, int], source: str) -> Tensor:
    channels, height, width = shape
    images = np.empty((len(files), height, width, channels), np.uint8)
    quiet = rank_zero_only.rank != 0  # type: ignore[attr-defined]  # set by Lightning
    progress = track(files, f"decoding {source}", transient=True, disable=quiet)
    for number, data in enumerate(progress):
        try:
            image = read_image(data, channels)
        except ValueError as error:
            raise ValueError(f"image {number} of {source!r} cannot be read: {error}") from error
        if image.size != (width, height):
            raise ValueError(
                f"image {number} of {source!r} has {image.height} x {image.width} pixels; "
                f"all must have {height} x {width}"
            )
        images[number] = np.asarray(image).reshape(height, width, channels)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


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
                f"{type(self).__name__} does not say what its images are; take datamodules.mnist.MNIST, "
                "datamodules.cifar10.CIFAR10 or datamodules.svhn.SVHN, or a subclass with a shape and class_names"
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
        images = read_images(self.hparams.source, split, self.shape, self.class_names, *columns, other_names=first)
        self.class_names = images.class_names
        if self.hparams.invert:
            images.images = 255 - images.images
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


def batch_size(batch: dict[str, Tensor]) -> int:
    """Images in a batch, for Lightning's `ThroughputMonitor`."""
    return len(batch["image"])
