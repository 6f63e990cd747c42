"""What modules ask of their training data besides the batches.

A module takes everything from here, once, when it is set up. `data_of` is the only place that reads the trainer's
datamodule. A datamodule need not offer all of it: what it lacks is refused in one line where a module needs it.

N images, C channels, H height, W width, O observed steps, T actions in a window, A action dimensions, K classes,
V tokens in the vocabulary, B batch.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import lightning as L
from torch import Tensor


class ImageData(Protocol):
    """Images of K classes."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """C, H, W."""

    @property
    def num_classes(self) -> int:
        """K."""

    @property
    def class_names(self) -> Sequence[str]:
        """K names, in the order that labels count."""

    def channel_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel of the training images, in [0, 1]: (C,) each."""

    def training_images(self, count: int) -> Tensor:
        """The first `count` training images, or all where they are fewer: (n, C, H, W) uint8."""


class SequenceData(Protocol):
    """Sequences of tokens: pairs of them, or free text.

    Attributes:
        paired: whether its batches hold pairs; without this they do.
    """

    paired: bool

    @property
    def tokenizer(self) -> Any:
        """A `tokenizers.Tokenizer` of V tokens."""

    @property
    def vocab_size(self) -> int:
        """V."""

    @property
    def test_names(self) -> Sequence[str]:
        """The metric of each test loader; of pairs alone."""


class ActionData(Protocol):
    """Demonstrations: observations, and the actions that followed."""

    def observation_statistics(self) -> Any:
        """`networks.observation_features.Statistics` of the training observations, by key; None for images."""

    def action_statistics(self) -> Any:
        """`networks.observation_features.Statistics` of the training actions."""

    def action_scale(self, origin: Callable[[Any], Tensor]) -> Tensor:
        """(T, A): root mean square of the training actions at each step of a window, relative to `origin`.

        `origin` takes observations (B, O, ...) and gives (B, 1, A). 0 at steps that no action reaches.
        """


def data_of(module: L.LightningModule) -> object | None:
    """The datamodule of the module's trainer; None where it trains on plain loaders."""
    return getattr(module.trainer, "datamodule", None)


def channel_statistics(module: L.LightningModule) -> tuple[Tensor, Tensor]:
    """`ImageData.channel_statistics` of the module's data. Raises ValueError where they have none."""
    return _asked(
        module, "channel_statistics", "mean and std of the images are", "start from weights, or give mean and std"
    )()


def training_images(module: L.LightningModule, count: int, what: str) -> Tensor:
    """`ImageData.training_images` of the module's data, to measure `what`. Raises ValueError where they have none."""
    return _asked(module, "training_images", f"{what} are", "or start from weights")(count)


def demonstrations(module: L.LightningModule) -> ActionData:
    """The module's data, asked for their statistics. Raises ValueError where they have none."""
    for method in ("observation_statistics", "action_statistics", "action_scale"):
        _asked(module, method, "statistics of observations and actions are", "or start from weights")
    return cast(ActionData, data_of(module))


def class_names(module: L.LightningModule) -> tuple[str, ...] | None:
    """Names of the classes in the module's data; None where they have none."""
    names = getattr(data_of(module), "class_names", None)
    return None if names is None else tuple(names)


def check_image_data(
    module: L.LightningModule, shape: Sequence[int] | None = None, num_classes: int | None = None
) -> None:
    """Raises ValueError where the data's image shape or number of classes is not the module's.

    Args:
        module: with a trainer.
        shape: C, H, W of its images.
        num_classes: of the module; 0 or None where it knows no classes.
    """
    own, names = getattr(data_of(module), "shape", None), class_names(module)
    if own is not None and shape is not None and list(own) != list(shape):
        raise ValueError(f"the model has shape={list(shape)}, its data {list(own)}; set both to the same")
    if names is not None and num_classes and len(names) != num_classes:
        raise ValueError(
            f"the model has num_classes={num_classes}, its data {len(names)} classes; "
            "name the classes with --data.class_names, or take data or a model with as many"
        )


def tokenizer(module: L.LightningModule, vocab_size: int) -> Any | None:
    """The tokenizer of the module's data; None where they have none. Raises ValueError unless it has V tokens."""
    own = getattr(data_of(module), "tokenizer", None)
    if own is not None and own.get_vocab_size() != vocab_size:
        raise ValueError(
            f"the model has vocab_size={vocab_size}, its data a tokenizer of {own.get_vocab_size()}; "
            f"set --model.vocab_size {own.get_vocab_size()}"
        )
    return own


def check_paired(module: L.LightningModule) -> None:
    """Raises ValueError where the module's data are free text."""
    data = data_of(module)
    if not getattr(data, "paired", True):
        name = type(module).__name__
        raise ValueError(
            f"{name} learns pairs of sequences, and {type(data).__name__} gives free text; take LanguageModel for it, "
            "or other data"
        )


def metric_of_loader(module: L.LightningModule, loader: int) -> str:
    """The metric of a test loader: its name in the data, or `exact_match` by default."""
    names = getattr(data_of(module), "test_names", ["exact_match"])
    return names[loader] if loader < len(names) else f"exact_match_{loader}"


def _asked(module: L.LightningModule, method: str, what: str, otherwise: str) -> Any:
    """A method of the module's data. Where there is none, raises ValueError that says what needs it and what to do."""
    data = data_of(module)
    found = getattr(data, method, None)
    if found is None:
        given = "plain loaders" if data is None else f"{type(data).__name__}, which has no {method}()"
        raise ValueError(
            f"{what} measured on a datamodule with {method}(), but the data are {given}; train with one, {otherwise}"
        )
    return found
