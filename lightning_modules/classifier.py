"""What every picture classifier shares: steps, losses, optimizer, metrics, and a report at test.

B batch, C channels, H height, W width, F features, K classes.
"""

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from limits import number, whole
from metrics import confusion_tables as confusion_tables
from metrics import distributed_mean as distributed_mean
from networks.class_names import ClassNames
from networks.measured import Measured
from optim.lr_schedule import OwnRates


class Classifier(OwnRates):
    """Trained on {"image": (B, C, H, W) uint8, "label": (B,)}. A subclass builds `self.network`: pictures to logits.

    Pictures come as uint8 and are normalised here; mean, standard deviation and the classes' names are part of the
    checkpoint.

    Args:
        shape: C, H, W of the pictures.
        num_classes: K.
        mean: of each channel, in [0, 1]; measured on the training pictures when training starts, where it is neither
            given nor loaded.
        std: standard deviation of each channel, likewise.
        label_smoothing: share of the target that is spread evenly over all classes, in the training loss only.
        lr: the highest learning rate, after warm-up; from there it falls to 0 along a cosine until the last step, or
            the end of the trainer's `max_time`. A training without an end goes on at this rate.
        weight_decay: the optimizer's.
        warmup: share of all steps (of 10,000 in a training without an end) in which the learning rate rises linearly
            from 0.
        tta_flip: at test, average the logits over the picture and its mirror image.
        tta_shift: at test, average the logits also over the picture moved by so many pixels up and to
            the left, and down and to the right; its sides are reflected.
    """

    network: nn.Module

    def __init__(
        self,
        shape: list[int] = (1, 28, 28),
        num_classes: int = 10,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        label_smoothing: float = 0.0,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        warmup: float = 0.1,
        tta_flip: bool = False,
        tta_shift: int = 0,
    ):
        super().__init__()
        for size in shape:
            whole(shape=size)
        whole(2, num_classes=num_classes)
        whole(0, tta_shift=tta_shift)
        number("[0, 1)", label_smoothing=label_smoothing, warmup=warmup)
        number("[0, inf)", lr=lr, weight_decay=weight_decay)
        if len(shape) != 3:
            raise ValueError(f"shape={list(shape)} must be three numbers: channels, height and width")
        if (mean is None) != (std is None) or any(len(given) != shape[0] for given in (mean, std) if given is not None):
            raise ValueError(f"mean={mean} and std={std}: give both, a number for each of {shape[0]} channels, or none")
        for deviation in std or ():
            number("(0, inf)", std=deviation)
        if tta_shift >= min(shape[1:]):
            raise ValueError(f"tta_shift={tta_shift} must be less than the sides of shape={list(shape)}")
        self.save_hyperparameters()
        self.register_buffer("mean", torch.tensor(mean or [0.0] * shape[0])[:, None, None])  # (C, 1, 1)
        self.register_buffer("std", torch.tensor(std or [1.0] * shape[0])[:, None, None])
        self.measured = Measured(known=mean is not None)  # mean and std
        self.names = ClassNames()
        self.accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.plain_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.confusion = MulticlassConfusionMatrix(num_classes)  # of the validation or test that ran last

    def forward(self, images: Tensor) -> Tensor:
        """Logits: (B, C, H, W) uint8 -> (B, K)."""
        return self.network(self._checked(images)).float()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Those of the data that it was trained on; numbers where none were known."""
        return self.names.names or tuple(str(number) for number in range(self.hparams.num_classes))

    def features(self, images: Tensor) -> Tensor:
        """What the last layer (`head`) reads: (B, C, H, W) uint8 -> (B, F)."""
        return self.network.features(self._checked(images)).float()

    @property
    def head(self) -> nn.Linear:
        """The last layer, features to logits."""
        return self.network.head

    def _checked(self, images: Tensor) -> Tensor:
        """uint8 pictures of the right size, normalised."""
        if images.dtype != torch.uint8 or list(images.shape[1:]) != list(self.hparams.shape):
            raise ValueError(
                f"this classifier takes uint8 pictures of {' x '.join(map(str, self.hparams.shape))}; "
                f"got {images.dtype} of {' x '.join(map(str, images.shape[1:]))}"
            )
        return self.normalised(images)

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 pictures as the network takes them: mean 0, standard deviation 1 over the training pictures."""
        return ((images.float() / 255 - self.mean) / self.std).to(self.dtype)

    def training_logits(self, images: Tensor) -> Tensor:
        """What a training step goes by: those of `forward`, unless a subclass shows its network something else."""
        return self(images)

    def view_logits(self, images: Tensor) -> Tensor:
        """Logits of each view, (V, B, K): first those of `forward`. Their mean is what test and predict go by."""
        return torch.stack([self(view) for view in self.views(images)])

    def views(self, images: Tensor) -> list[Tensor]:
        """The pictures as they are, and changed as `tta_flip` and `tta_shift` say."""
        views, pixels = [images], self.hparams.tta_shift
        if pixels:
            height, width = images.shape[-2:]
            padded = F.pad(images.float(), [pixels] * 4, mode="reflect").to(images.dtype)  # torch reflects only floats
            views += [padded[..., start : start + height, start : start + width] for start in (0, 2 * pixels)]
        return views + [view.flip(-1) for view in views] if self.hparams.tta_flip else views

    def filters(self) -> Tensor | None:
        """Weights of the first layer as pictures, (n, C, h, w), or None for a network without such."""
        return None

    def setup(self, stage: str) -> None:
        data = self.trainer.datamodule
        names = getattr(data, "class_names", None)
        if names is not None:
            if len(names) != self.hparams.num_classes:
                raise ValueError(f"the model has num_classes={self.hparams.num_classes}, its data {len(names)} classes")
            self.names.adopt(tuple(names), training=stage == "fit")
        if stage == "fit" and not self.measured.known:
            mean, std = channel_statistics(self._training_images("mean and std"))
            self.mean.copy_(mean[:, None, None])
            self.std.copy_(std[:, None, None])
            self.measured.note()

    def _training_images(self, what: str) -> Tensor:
        """Those of the datamodule, (N, C, H, W) uint8, to measure something on."""
        images = getattr(getattr(self.trainer.datamodule, "train_set", None), "images", None)
        if images is None:
            raise ValueError(
                f"{what} can only be measured on a datamodule with a train_set of images; train with one, start from "
                "weights, or give mean and std where these are all"
            )
        return images

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        logits = self.training_logits(batch["image"])
        loss = F.cross_entropy(logits, batch["label"], label_smoothing=self.hparams.label_smoothing)
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/accuracy", (logits.argmax(1) == batch["label"]).float().mean(), prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self.confusion.reset()

    on_test_epoch_start = on_validation_epoch_start

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Returns the logits (B, K), for callbacks."""
        logits = self(batch["image"])
        self._log_heldout("val", logits, batch["label"])
        return logits

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Returns the logits (B, K), for callbacks."""
        logits = self.view_logits(batch["image"])
        self.plain_accuracy(logits[0], batch["label"])
        self.log("test/accuracy_plain", self.plain_accuracy)
        self._log_heldout("test", logits.mean(0), batch["label"])
        return logits.mean(0)

    def _log_heldout(self, stage: str, logits: Tensor, label: Tensor) -> None:
        self.accuracy(logits, label)
        self.confusion.update(logits, label)
        loss = F.cross_entropy(logits, label)
        distributed_mean.log_mean(self, f"{stage}/loss", loss, len(label), prog_bar=True)
        self.log(f"{stage}/accuracy", self.accuracy, prog_bar=True, batch_size=len(label))

    def on_test_epoch_end(self) -> None:
        confusion = self.confusion.compute().cpu()  # (K, K), rows are what was shown
        if self.trainer.is_global_zero:
            for table in confusion_tables.tables(confusion, self.class_names):
                Console().print(table)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """{"label": (B,), "probability": (B, K)}"""
        probability = self.view_logits(batch["image"]).mean(0).softmax(1)
        return {"label": probability.argmax(1), "probability": probability}


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of (N, C, H, W) uint8 pictures, in [0, 1]: (C,) each.

    A channel without any variation gets a deviation of one grey level.
    """
    count, total, squares = images.numel() / images.shape[1], 0.0, 0.0
    for part in images.split(4096):  # in parts: the whole set as float64 would take eight times its memory
        pixels = part.double() / 255
        total, squares = total + pixels.sum((0, 2, 3)), squares + pixels.square().sum((0, 2, 3))
    mean = total / count
    return mean.float(), (squares / count - mean.square()).clamp(min=1 / 255**2).sqrt().float()
