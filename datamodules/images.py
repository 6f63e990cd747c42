"""Labelled pictures in memory: decoded once to uint8, indexed a batch at a time, augmented on the device.

    source ─► rows ─► decoded once, kept in a cache file ─► ImageSet ─► batch of uint8 ─► device ─► augmentation

A data set of its own is a subclass of `ImageDataModule` that says what it holds (see `datamodules.mnist`).

N pictures of a set, B of a batch, C channels, H height, W width.
"""

import io
from pathlib import Path

import lightning as L
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image, UnidentifiedImageError
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules import augmentation, cache, fonts, sources
from datamodules.pictures import MODES, PictureSet, read_pictures
from datamodules.resumable_loader import ResumableLoader

FONTS = "fonts"


class ImageSet(Dataset):
    """Pictures and their classes, a batch at a time: {"image": (B, C, H, W) uint8, "label": (B,), "index": (B,)}.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) int64 classes from 0.
    """

    def __init__(self, images: Tensor, labels: Tensor):
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        index = torch.as_tensor(indices)
        return {"image": self.images[index], "label": self.labels[index], "index": index}

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: values[0] for name, values in self.__getitems__([index]).items()}

    def subset(self, indices: Tensor) -> "ImageSet":
        """A set of its own with a copy of some of the pictures."""
        return ImageSet(self.images[indices], self.labels[indices])


def read_images(
    source: str,
    split: str,
    shape: tuple[int, int, int],
    num_classes: int,
    image_column: str = "image",
    label_column: str = "label",
) -> ImageSet:
    """All pictures of one split of a source (`datamodules.sources`), or digits drawn from fonts where it is "fonts".

    Pictures of another colour mode are converted to `shape`'s channels; another height or width is an error.

    Raises FileNotFoundError where there is nothing at the source, ValueError where it does not hold such pictures.
    """
    if source == FONTS:
        return ImageSet(*fonts.digits(split, shape))
    try:
        rows = sources.load(source, split, [image_column, label_column])
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; or draw digits from fonts with --data.source {FONTS}") from error
    table = rows.with_format("arrow")[:]
    if not len(table):
        raise ValueError(f"the split {split!r} of {source!r} holds no pictures")
    labels = _labels(table.column(label_column), f"column {label_column} of {source!r}", num_classes)
    files = _files(table.column(image_column), f"column {image_column} of {source!r}", sources.resolve(source))
    # Contents name the cache file: changed data or another shape is other data, wherever it lies.
    key = f"images-{cache.digest([repr(shape).encode(), labels.numpy().tobytes(), *files])}"
    kept = cache.cached(key, lambda: {"images": _decode(files, shape, source), "labels": labels})
    return ImageSet(kept["images"], kept["labels"])


def _labels(column: pa.ChunkedArray, what: str, num_classes: int) -> Tensor:
    if not pa.types.is_integer(column.type) or column.null_count:
        raise ValueError(f"{what} must hold whole numbers from 0 to {num_classes - 1}; it holds {column.type}")
    labels = torch.from_numpy(column.to_numpy().astype(np.int64))
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"{what} holds labels from {labels.min()} to {labels.max()}; allowed are 0 to {num_classes - 1}"
        )
    return labels


def _files(column: pa.ChunkedArray, what: str, place: str) -> list[bytes]:
    """Encoded pictures, from a column as `datasets` keeps pictures: their bytes, or else paths of files that lie in the
    folder of the data."""
    if not (pa.types.is_struct(column.type) and {"bytes", "path"} <= {field.name for field in column.type}):
        raise ValueError(f"{what} holds {column.type} where pictures are needed (PNG or JPEG)")
    encoded, paths = (pc.struct_field(column, name).to_pylist() for name in ("bytes", "path"))
    pairs = zip(encoded, paths, strict=True)
    return [_beside(path, what, place) if data is None else data for data, path in pairs]


def _beside(path: str | None, what: str, place: str) -> bytes:
    """The file at a path that data name: no file but one in their own folder, whatever `..` and links say."""
    folder = (Path(place) if Path(place).is_dir() else Path(place).parent).resolve()
    file = (folder / (path or "")).resolve()
    if not (file.is_relative_to(folder) and file.is_file()):
        raise ValueError(
            f"{what} names the picture {path!r}, which is no file in {folder}; put the pictures' bytes there"
        )
    return file.read_bytes()


def _decode(files: list[bytes], shape: tuple[int, int, int], source: str) -> Tensor:
    channels, height, width = shape
    pictures = np.empty((len(files), height, width, channels), np.uint8)
    progress = track(files, f"decoding {source}", transient=True, disable=rank_zero_only.rank != 0)
    for number, data in enumerate(progress):
        try:
            picture = Image.open(io.BytesIO(data)).convert(MODES[channels])
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(f"picture {number} of {source!r} cannot be read: {error}") from error
        if picture.size != (width, height):
            raise ValueError(
                f"picture {number} of {source!r} has {picture.height} x {picture.width} pixels; "
                f"all must have {height} x {width}"
            )
        pictures[number] = np.asarray(picture).reshape(height, width, channels)
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()


class ImageDataModule(L.LightningDataModule):
    """Training, validation and test pictures of one data set. After `setup`: `train_set`, `val_set`, `test_set`.

    A subclass says what its data are (`shape`, `class_names`, names of columns) and where they are by default.

    Args:
        source: where the pictures are: a Hub id, a folder (`datamodules.sources`), or "fonts" (`datamodules.fonts`).
        batch_size: pictures in a batch.
        augment: what happens to training batches, in this order, such as {"shift": 2, "cutout": 8}: names and arguments
            of `datamodules.augmentation`. None for nothing.
        val_share: share of the training split that is held out for validation; 0 for none.
        split_seed: draws which ones.
        pictures: for `predict`, a folder with pictures of your own, of any size (`datamodules.pictures`); without it
            `predict` takes the test pictures.
    """

    shape: tuple[int, int, int]  # (C, H, W)
    class_names: tuple[str, ...]
    image_column = "image"
    label_column = "label"

    def __init__(
        self,
        source: str,
        batch_size: int = 512,
        augment: dict | None = None,
        val_share: float = 0.05,
        split_seed: int = 0,
        pictures: str | None = None,
    ):
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size} must be at least 1")
        if not 0 <= val_share < 1:
            raise ValueError(f"val_share={val_share} must be at least 0 and less than 1")
        self.save_hyperparameters()
        self.augmentation = augmentation.build(augment or {})
        if source == FONTS:
            self.class_names = fonts.CLASS_NAMES

    def setup(self, stage: str | None = None) -> None:
        if stage in (None, "fit", "validate") and not hasattr(self, "train_set"):
            self.train_set, self.val_set = self._split(self._read("train"))
        if stage == "predict" and self.hparams.pictures is not None:
            self.pictures = read_pictures(self.hparams.pictures, self.shape)
        elif stage in (None, "test", "predict") and not hasattr(self, "test_set"):
            self.test_set = self._read("test")

    def _read(self, split: str) -> ImageSet:
        columns = (self.image_column, self.label_column)
        return read_images(self.hparams.source, split, self.shape, len(self.class_names), *columns)

    def _split(self, images: ImageSet) -> tuple[ImageSet, ImageSet]:
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(self.hparams.split_seed))
        n_val = round(self.hparams.val_share * len(images))
        if n_val == len(images):
            raise ValueError(
                f"val_share={self.hparams.val_share} leaves none of {n_val} pictures to train on; lower it"
            )
        return images.subset(order[n_val:]), images.subset(order[:n_val])

    def _loader(self, images: ImageSet | PictureSet, **options) -> DataLoader:
        return ResumableLoader(images, batch_size=self.hparams.batch_size, collate_fn=_as_is, **options)

    def train_dataloader(self) -> DataLoader:
        return self._loader(self.train_set, shuffle=True, drop_last=len(self.train_set) >= self.hparams.batch_size)

    def val_dataloader(self) -> DataLoader | list:
        return self._loader(self.val_set) if len(self.val_set) else []

    def test_dataloader(self) -> DataLoader:
        return self._loader(self.test_set)

    def predict_dataloader(self) -> DataLoader:
        return self._loader(self.test_set if self.hparams.pictures is None else self.pictures)

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        return self.augmented(batch, self.trainer.current_epoch) if self.trainer and self.trainer.training else batch

    def augmented(self, batch: dict[str, Tensor], epoch: int) -> dict[str, Tensor]:
        """A training batch of that epoch with its pictures changed as `augment` says."""
        image = batch["image"]
        for augment in self.augmentation:
            image = augment(image, batch["index"], epoch)
        return {**batch, "image": image}


def _as_is(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch is made whole by `__getitems__`: nothing to collate."""
    return batch


def batch_size(batch: dict[str, Tensor]) -> int:
    """Pictures in a batch, for Lightning's `ThroughputMonitor`."""
    return len(batch["image"])
