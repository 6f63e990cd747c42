"""Neural networks in NumPy alone, every gradient written by hand.

>>> import numpy as np
>>> rng = np.random.default_rng(0)
>>> x, y = rng.random((64, 28, 28), np.float32), rng.integers(10, size=64)
>>> model = two_layer_mlp(784, 32, 10, rng)
>>> trainer = Trainer(model, AdamW(model.parameters().values()), cosine(1e-3, steps=8), rng)
>>> history = trainer.fit((x, y), (x, y), epochs=4, batch_size=32)
>>> history[-1]["train_loss"] < history[0]["train_loss"]
True
"""

from numpy_core.activations import GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Tanh, TanhGELU
from numpy_core.attention import SelfAttention
from numpy_core.autograd import Tensor
from numpy_core.batches import batches
from numpy_core.containers import Flatten, Residual, Sequential
from numpy_core.convolution import Conv2d
from numpy_core.dropout import Dropout
from numpy_core.embedding import Embedding, LearnedPositions
from numpy_core.graph_svg import graph_svg
from numpy_core.linear import Linear
from numpy_core.losses import binary_cross_entropy, mean_squared_error, softmax_cross_entropy
from numpy_core.models import small_cnn, softmax_regression, two_layer_mlp
from numpy_core.module import Module, Parameter
from numpy_core.normalization import BatchNorm1d, BatchNorm2d, LayerNorm
from numpy_core.optimizers import SGD, Adam, AdamW, clip_gradients
from numpy_core.pooling import AvgPool2d, MaxPool2d
from numpy_core.schedules import constant, cosine, step_decay
from numpy_core.trainer import Trainer, evaluate, predict

__all__ = [
    "GELU",
    "SGD",
    "Adam",
    "AdamW",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Embedding",
    "Flatten",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositions",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Residual",
    "SelfAttention",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "TanhGELU",
    "Tensor",
    "Trainer",
    "batches",
    "binary_cross_entropy",
    "clip_gradients",
    "constant",
    "cosine",
    "evaluate",
    "graph_svg",
    "mean_squared_error",
    "predict",
    "small_cnn",
    "softmax_cross_entropy",
    "softmax_regression",
    "step_decay",
    "two_layer_mlp",
]
