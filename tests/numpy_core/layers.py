"""One of every layer, small, each with a shape it takes: for tests of what all layers have in common."""

from collections.abc import Callable

import numpy as np

from numpy_core import (
    GELU,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    LeakyReLU,
    LearnedPositions,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Residual,
    SelfAttention,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    TanhGELU,
    small_cnn,
    softmax_regression,
    two_layer_mlp,
)
from tests.numpy_core.against_torch import randomize


def transformer_block(features: int, heads: int, rng: np.random.Generator, dtype) -> Sequential:
    return Sequential(
        Residual(Sequential(LayerNorm(features, dtype=dtype), SelfAttention(features, heads, rng, True, dtype=dtype))),
        Residual(
            Sequential(
                LayerNorm(features, dtype=dtype),
                Linear(features, 2 * features, rng, dtype=dtype),
                GELU(),
                Linear(2 * features, features, rng, dtype=dtype),
            )
        ),
    )


LAYERS: dict[str, tuple[Callable[[np.random.Generator, type], Module], tuple[int, ...]]] = {
    "Linear": (lambda rng, dtype: Linear(3, 4, rng, dtype=dtype), (2, 5, 3)),
    "Linear without bias": (lambda rng, dtype: Linear(3, 4, rng, bias=False, dtype=dtype), (5, 3)),
    "Conv2d": (lambda rng, dtype: Conv2d(2, 3, 3, rng, padding=1, dtype=dtype), (2, 2, 4, 5)),
    "Conv2d with all options": (
        lambda rng, dtype: Conv2d(4, 6, (2, 3), rng, (2, 1), (3, 2), (1, 2), groups=2, bias=False, dtype=dtype),
        (2, 4, 3, 4),
    ),
    "MaxPool2d": (lambda rng, dtype: MaxPool2d(3, 2, 1), (2, 2, 5, 4)),
    "AvgPool2d": (lambda rng, dtype: AvgPool2d((3, 2), (2, 1), 1), (2, 2, 5, 4)),
    "ReLU": (lambda rng, dtype: ReLU(), (3, 4)),
    "LeakyReLU": (lambda rng, dtype: LeakyReLU(0.2), (3, 4)),
    "Sigmoid": (lambda rng, dtype: Sigmoid(), (3, 4)),
    "Tanh": (lambda rng, dtype: Tanh(), (3, 4)),
    "GELU": (lambda rng, dtype: GELU(), (3, 4)),
    "TanhGELU": (lambda rng, dtype: TanhGELU(), (3, 4)),
    "SiLU": (lambda rng, dtype: SiLU(), (3, 4)),
    "Softmax": (lambda rng, dtype: Softmax(), (3, 4)),
    "Softmax along axis 1": (lambda rng, dtype: Softmax(1), (2, 3, 4)),
    "BatchNorm1d": (lambda rng, dtype: BatchNorm1d(3, dtype=dtype), (4, 3)),
    "BatchNorm1d of sequences": (lambda rng, dtype: BatchNorm1d(3, dtype=dtype), (2, 3, 4)),
    "BatchNorm2d": (lambda rng, dtype: BatchNorm2d(2, dtype=dtype), (3, 2, 2, 3)),
    "LayerNorm": (lambda rng, dtype: LayerNorm(4, dtype=dtype), (2, 3, 4)),
    "Dropout": (lambda rng, dtype: Dropout(0.4, rng), (5, 6)),
    "Embedding": (lambda rng, dtype: Embedding(5, 3, rng, dtype=dtype), (2, 4)),
    "LearnedPositions": (lambda rng, dtype: LearnedPositions(5, 3, rng, dtype=dtype), (2, 4, 3)),
    "SelfAttention": (lambda rng, dtype: SelfAttention(4, 2, rng, dtype=dtype), (2, 3, 4)),
    "causal SelfAttention": (lambda rng, dtype: SelfAttention(6, 3, rng, causal=True, dtype=dtype), (2, 4, 6)),
    "Flatten": (lambda rng, dtype: Flatten(), (2, 3, 2)),
    "Residual": (lambda rng, dtype: Residual(Sequential(Linear(3, 3, rng, dtype=dtype), Tanh())), (4, 3)),
    "Residual with shortcut": (
        lambda rng, dtype: Residual(Linear(3, 2, rng, dtype=dtype), Linear(3, 2, rng, bias=False, dtype=dtype)),
        (4, 3),
    ),
    "softmax_regression": (lambda rng, dtype: softmax_regression(12, 3, rng, dtype=dtype), (4, 3, 4)),
    "two_layer_mlp": (lambda rng, dtype: two_layer_mlp(12, 5, 3, rng, dropout=0.3, dtype=dtype), (4, 3, 4)),
    "small_cnn": (lambda rng, dtype: small_cnn((1, 4, 5), 3, rng, (2, 3), 0.3, dtype=dtype), (3, 1, 4, 5)),
    "transformer block": (lambda rng, dtype: transformer_block(4, 2, rng, dtype), (2, 3, 4)),
}


def build(name: str, dtype: type, seed: int = 0) -> tuple[Module, np.ndarray]:
    """A layer with random parameters, and a random input for it."""
    rng = np.random.default_rng(seed)
    make, shape = LAYERS[name]
    layer = randomize(make(rng, dtype), rng)
    if name == "Embedding":
        return layer, rng.integers(0, 5, shape)
    return layer, rng.standard_normal(shape).astype(dtype)
