"""Images to classes by any network: steps, losses, metrics, and a report at test.

B batch, V views, C channels, H height, W width, F features, K classes.
"""

import json
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from rich import get_console
from torch import Tensor, nn, optim
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from checkpoints.onnx_function import ROWS, Input, OnnxFunction
from lightning_modules import data_contract
from lightning_modules.named_classes import NamedClasses
from lightning_modules.optimized_module import OptimizedModule
from lightning_modules.step_log import log_step
from limits import number, whole
from metrics import confusion_tables, distributed_mean
from networks.class_names import ClassNames
from networks.cnn import ResNet
from networks.image_classifier import FeatureNetwork, FilterNetwork, NetworkFactory, WhitenedNetwork
from networks.image_shape import image_shape
from networks.statistics_flag import StatisticsFlag
from optim.lr_schedule import LRSchedule
from optim.parameter_groups import OptimizerFactory
from optim.progressive_resizing import ProgressiveResizing
from optim.selection_via_proxy import SelectionViaProxy
from optim.training_length import planned_steps, total_steps

WHITENED_ON = 5_000  # images


class Classifier(NamedClasses, OptimizedModule):
    """Trained on {"image": (B, C, H, W) uint8, "label": (B,)}.

    Images come as uint8 and are normalised here; mean, standard deviation and the classes' names are part of the
    checkpoint. What the network may offer beyond logits is said in `networks.image_classifier`.

    Args:
        network: makes the network from `shape` and `num_classes`.
        shape: C, H, W of the images.
        num_classes: K.
        mean: of each channel, in [0, 1]; the training data's where it is neither given nor loaded.
        std: standard deviation of each channel, likewise.
        label_smoothing: share of the target that is spread evenly over all classes, in the training loss only.
        loss: that is minimised, of logits (B, K) and labels (B,), such as `torch.nn.MultiMarginLoss()`; by default
            cross-entropy with `label_smoothing`. Other metrics stay what they are.
        lr: the highest learning rate.
        optimizer: as `OptimizedModule`'s.
        lr_schedule: as `OptimizedModule`'s.
        progressive_resizing: small images in the first steps; None for whole images at every step.
        selection: trains on the hardest part of each batch; `train/loss` and `train/accuracy` are then of this part,
            and `train/proxy_loss` is the proxy's loss on it.
        tta_flip: at test, average the logits over the image and its mirror image.
        tta_shift: at test, average the logits also over the image moved by so many pixels up and to the left, and down
            and to the right; its sides are reflected.
    """

    hub_task = "image-classification"  # of its card (`checkpoints.model_card`)
    usage = "logits = model(images)  # (B, C, H, W) uint8 -> (B, K)"

    mean: Tensor  # (C, 1, 1)
    std: Tensor  # (C, 1, 1)

    def __init__(
        self,
        network: NetworkFactory = ResNet,
        shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        label_smoothing: float = 0.0,
        loss: nn.Module | None = None,
        lr: float = 1e-3,
        optimizer: OptimizerFactory = optim.AdamW,
        lr_schedule: LRSchedule | None = None,
        progressive_resizing: ProgressiveResizing | None = None,
        selection: SelectionViaProxy | None = None,
        tta_flip: bool = False,
        tta_shift: int = 0,
    ):
        super().__init__(lr, optimizer, lr_schedule)
        channels, *sides = image_shape(shape)
        whole(2, num_classes=num_classes)
        whole(0, tta_shift=tta_shift)
        number("[0, 1)", label_smoothing=label_smoothing)
        if loss is not None and label_smoothing:
            raise ValueError(
                f"label_smoothing={label_smoothing} is of the default loss: set it to 0 beside {type(loss).__name__}"
            )
        if (mean is None) != (std is None) or any(len(given) != channels for given in (mean, std) if given is not None):
            raise ValueError(f"mean={mean} and std={std}: give both, a number for each of {channels} channels, or none")
        for value in std or ():
            number("(0, inf)", std=value)
        if tta_shift >= min(sides):
            raise ValueError(f"tta_shift={tta_shift} must be less than the sides of shape={list(shape)}")
        for part in (progressive_resizing, selection):
            if part is not None and part.size is not None and part.size > min(sides):
                raise ValueError(f"size={part.size} of {type(part).__name__} is larger than shape={list(shape)}")
        self.save_hyperparameters(
            {
                "shape": list(shape),
                "num_classes": num_classes,
                "mean": mean,
                "std": std,
                "label_smoothing": label_smoothing,
                "lr": lr,
                "tta_flip": tta_flip,
                "tta_shift": tta_shift,
            }
        )
        self.register_buffer("mean", torch.tensor(mean or [0.0] * channels)[:, None, None])
        self.register_buffer("std", torch.tensor(std or [1.0] * channels)[:, None, None])
        self.measured = StatisticsFlag(known=mean is not None)  # of mean and std
        self.names = ClassNames()
        self.accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.plain_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.confusion = MulticlassConfusionMatrix(num_classes)  # of the validation or test that ran last
        self.loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing) if loss is None else loss
        self.progressive_resizing, self.selection = progressive_resizing, selection
        self.network = network(tuple(shape), num_classes)
        self.proxy = None if selection is None else selection.proxy(tuple(shape), num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits: (B, C, H, W) uint8 -> (B, K)."""
        return self.network(self._checked(images)).float()

    def features(self, images: Tensor) -> Tensor:
        """What the last layer (`head`) reads: (B, C, H, W) uint8 -> (B, F). ValueError for a network that has none."""
        return self._feature_network().features(self._checked(images)).float()

    @property
    def head(self) -> nn.Linear:
        """The last layer, features to logits. ValueError for a network that has none."""
        return self._feature_network().head

    def _feature_network(self) -> FeatureNetwork:
        if not (hasattr(self.network, "features") and hasattr(self.network, "head")):
            raise ValueError(
                f"the network {type(self.network).__name__} has no features() and head, and cannot be asked for "
                "features; add them as networks.image_classifier.FeatureNetwork says"
            )
        return cast(FeatureNetwork, self.network)

    def filters(self) -> Tensor | None:
        """Weights of the first layer as images, (n, C, h, w), or None for a network that has none."""
        known = hasattr(self.network, "first_filters")
        return cast(FilterNetwork, self.network).first_filters() if known else None

    def _checked(self, images: Tensor) -> Tensor:
        """uint8 images of the right size, normalised."""
        if images.dtype != torch.uint8 or list(images.shape[1:]) != list(self.hparams.shape):
            raise ValueError(
                f"this classifier takes uint8 images of {' x '.join(map(str, self.hparams.shape))}; "
                f"got {images.dtype} of {' x '.join(map(str, images.shape[1:]))}"
            )
        return self.normalised(images)

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 images as the network takes them: mean 0, standard deviation 1 over the training images."""
        return ((images.float() / 255 - self.mean) / self.std).to(self.dtype)

    def training_logits(self, images: Tensor) -> Tensor:
        """Logits for the training loss, by `progressive_resizing` of small images: (B, C, H, W) uint8 -> (B, K)."""
        pixels = self._checked(images)
        if self.progressive_resizing is not None:
            step = self.trainer.global_step
            total = total_steps(self.trainer, step, planned_steps(self.trainer))
            pixels = self.progressive_resizing(pixels, step, total)
        return self.network(pixels).float()

    def view_logits(self, images: Tensor) -> Tensor:
        """Logits of each view, (V, B, K), those of `forward` first. Test and predict use their mean."""
        return torch.stack([self(view) for view in self.views(images)])

    def views(self, images: Tensor) -> list[Tensor]:
        """The images as they are, and changed as `tta_flip` and `tta_shift` say."""
        views, pixels = [images], self.hparams.tta_shift
        if pixels:
            height, width = images.shape[-2:]
            padded = F.pad(images.float(), [pixels] * 4, mode="reflect").to(images.dtype)  # torch reflects only floats
            views += [padded[..., start : start + height, start : start + width] for start in (0, 2 * pixels)]
        return views + [view.flip(-1) for view in views] if self.hparams.tta_flip else views

    def setup(self, stage: str) -> None:
        """Take the class names from the data and, where they are not yet known, the statistics of its images."""
        data_contract.check_image_data(self, self.hparams.shape, self.hparams.num_classes)
        self.take_class_names(stage)
        if stage == "fit":
            self._measure()

    def _measure(self) -> None:
        if not self.measured.known:
            mean, std = data_contract.channel_statistics(self)
            self.mean.copy_(mean[:, None, None])
            self.std.copy_(std[:, None, None])
            self.measured.set()
        able = [cast(WhitenedNetwork, net) for net in (self.network, self.proxy) if hasattr(net, "whiten")]
        unknown = [network for network in able if not network.whitened.known]
        if unknown:
            images = data_contract.training_images(self, WHITENED_ON, "the first layer's filters")
            for network in unknown:
                network.whiten(self.normalised(images))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The loss that is minimised: cross-entropy, and the proxy's where there is a `selection`."""
        if self.selection is None:
            return self._training_loss(batch)
        hard = self.hardest(batch)
        proxy_loss = self._proxy_losses(hard).mean()
        log_step(self, "train/proxy_loss", proxy_loss)
        return self._training_loss(hard) + proxy_loss

    def _training_loss(self, batch: dict[str, Tensor]) -> Tensor:
        logits = self.training_logits(batch["image"])
        loss = self.loss(logits, batch["label"])
        if loss.ndim:
            raise ValueError(f"{type(self.loss).__name__} gave a loss of shape {tuple(loss.shape)}; give one number")
        log_step(self, "train/loss", loss, prog_bar=True)
        log_step(self, "train/accuracy", (logits.argmax(1) == batch["label"]).float().mean(), prog_bar=True)
        return loss

    @torch.no_grad()
    def hardest(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The part of a batch that `selection` chooses."""
        assert self.selection is not None
        index = self.selection.hardest(self._proxy_losses(batch))
        return {name: values[index] for name, values in batch.items()}

    def _proxy_losses(self, batch: dict[str, Tensor]) -> Tensor:
        """The proxy's loss on each image: (B,)."""
        assert self.selection is not None
        assert self.proxy is not None
        images, smoothing = self._checked(batch["image"]), self.hparams.label_smoothing
        return self.selection.losses(self.proxy, images, batch["label"], smoothing)

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
        confusion = self.confusion.compute().cpu()  # (K, K), a row for each target
        if self.trainer.is_global_zero:
            for table in confusion_tables.tables(confusion, self.class_names):
                get_console().print(table)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """The prediction of each image: {"label": (B,), "probability": (B, K)}."""
        probability = self.probabilities(batch["image"])
        return {"label": probability.argmax(1), "probability": probability}

    def probabilities(self, images: Tensor) -> Tensor:
        """Of the classes, by the mean logits of the views: (B, C, H, W) uint8 -> (B, K)."""
        return self.view_logits(images).mean(0).softmax(1)

    def onnx_functions(self) -> dict[str, OnnxFunction]:
        """`probabilities`, as `checkpoints.onnx_function.OnnxExportable` says."""
        images = torch.randint(256, (ROWS, *self.hparams.shape), dtype=torch.uint8)
        classes = ", ".join(self.class_names)
        return {
            "": OnnxFunction(
                self.probabilities,
                {"image": Input(images, "pixels from 0 to 255; the model normalises them itself")},
                {"probability": f"(batch, {len(self.class_names)}) float32: of {classes:.1000}; each row adds up to 1"},
                {"class_names": json.dumps(self.class_names)},
            )
        }
