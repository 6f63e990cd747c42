"""The three models of the first stage: from pixels to class logits."""

import numpy as np

from numpy_core import checks
from numpy_core.activations import ReLU
from numpy_core.checks import FloatDType
from numpy_core.containers import Flatten, Sequential
from numpy_core.convolution import Conv2d
from numpy_core.dropout import Dropout
from numpy_core.initializers import kaiming_normal, xavier_uniform, zeros
from numpy_core.linear import Linear
from numpy_core.module import Module
from numpy_core.normalization import BatchNorm2d
from numpy_core.pooling import MaxPool2d


def softmax_regression(
    inputs: int, classes: int, rng: np.random.Generator, dtype: FloatDType = np.float32
) -> Sequential:
    """One linear layer, whose logits the loss turns into probabilities: (N, ...) -> (N, classes)."""
    checks.sizes(inputs=inputs, classes=classes)
    return Sequential(Flatten(), Linear(inputs, classes, rng, initializer=zeros, dtype=dtype))


def two_layer_mlp(
    inputs: int,
    hidden: int,
    classes: int,
    rng: np.random.Generator,
    dropout: float = 0.0,
    dtype: FloatDType = np.float32,
) -> Sequential:
    """One hidden layer of ReLUs: (N, ...) -> (N, classes)."""
    checks.sizes(inputs=inputs, hidden=hidden, classes=classes)
    checks.between(0, 1, dropout=dropout)
    return Sequential(
        Flatten(),
        Linear(inputs, hidden, rng, initializer=kaiming_normal, dtype=dtype),
        ReLU(),
        Dropout(dropout, rng),
        Linear(hidden, classes, rng, initializer=xavier_uniform, dtype=dtype),
    )


def small_cnn(
    image: tuple[int, int, int],
    classes: int,
    rng: np.random.Generator,
    widths: tuple[int, ...] = (16, 32, 64),
    dropout: float = 0.0,
    dtype: FloatDType = np.float32,
) -> Sequential:
    """Blocks of convolution, halving, batch normalisation and ReLU, then one linear layer.

    (N, C, H, W) -> (N, classes).

    Args:
        image: (C, H, W) of the images.
        widths: channels of each block; H and W must halve this often.
    """
    checks.sizes(**{f"image[{i}]": size for i, size in enumerate(image)}, classes=classes)
    checks.sizes(**{f"widths[{i}]": width for i, width in enumerate(widths)})
    checks.between(0, 1, dropout=dropout)
    channels, height, width = image
    layers: list[Module] = []
    for outputs in widths:
        if min(height, width) < 2:
            raise ValueError(
                f"an image of {image[1]} x {image[2]} cannot be halved {len(widths)} times; use fewer widths"
            )
        layers += [
            Conv2d(channels, outputs, 3, rng, padding=1, bias=False, initializer=kaiming_normal, dtype=dtype),
            MaxPool2d(2),  # before the rest, which then has a quarter of the numbers to work on
            BatchNorm2d(outputs, dtype=dtype),
            ReLU(),
        ]
        channels, height, width = outputs, height // 2, width // 2
    features = channels * height * width
    head = Linear(features, classes, rng, initializer=xavier_uniform, dtype=dtype)
    return Sequential(*layers, Flatten(), Dropout(dropout, rng), head)
