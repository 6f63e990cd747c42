"""Every gradient against (f(x + h) - f(x - h)) / 2 h, which needs no other library to be right."""

import numpy as np
import pytest

from numpy_core import Embedding, Module, binary_cross_entropy, mean_squared_error, softmax_cross_entropy
from tests.numpy_core.layers import LAYERS, build

STEP = 1e-5  # of the difference: leaves f''' h^2 ~ 1e-10 of truncation and 2e-16 / h ~ 1e-11 of rounding
TOLERANCE = {"rtol": 1e-6, "atol": 1e-8}


def differences(f, x: np.ndarray) -> np.ndarray:
    """df/dx for a scalar f, which reads x while its numbers are moved one by one."""
    gradient = np.empty_like(x)
    for place in np.ndindex(x.shape):
        kept = x[place]
        x[place] = kept + STEP
        above = f()
        x[place] = kept - STEP
        gradient[place] = (above - f()) / (2 * STEP)
        x[place] = kept
    return gradient


def repeatable(layer: Module):
    """The layer's forward with the same random draws at each call."""
    starts = [(generator, generator.bit_generator.state) for generator in layer.generators()]

    def forward(x: np.ndarray) -> np.ndarray:
        for generator, state in starts:
            generator.bit_generator.state = state
        return layer(x)

    return forward


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, training):
    """For the loss sum(y * projection) with a random projection, whose gradient is that projection."""
    layer, x = build(name, np.float64)
    layer.train(training)
    forward = repeatable(layer)
    projection = np.random.default_rng(1).standard_normal(forward(x).shape)
    dx = layer.backward(projection)
    if not isinstance(layer, Embedding):
        np.testing.assert_allclose(dx, differences(lambda: np.vdot(forward(x), projection), x), **TOLERANCE)
    for inner, parameter in layer.parameters().items():
        expected = differences(lambda: np.vdot(forward(x), projection), parameter.value)
        np.testing.assert_allclose(parameter.grad, expected, **TOLERANCE, err_msg=inner)


RNG = np.random.default_rng(0)
LOSSES = {
    "classes": (softmax_cross_entropy, RNG.integers(0, 4, 3), {}),
    "classes, smoothed": (softmax_cross_entropy, RNG.integers(0, 4, 3), {"label_smoothing": 0.2}),
    "soft targets": (softmax_cross_entropy, RNG.dirichlet(np.ones(4), 3), {}),
    "soft targets that do not sum to 1": (softmax_cross_entropy, RNG.uniform(0, 1, (3, 4)), {"label_smoothing": 0.2}),
    "binary": (binary_cross_entropy, RNG.uniform(0, 1, (3, 4)), {}),
    "squared": (mean_squared_error, RNG.standard_normal((3, 4)), {}),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    loss, targets, options = LOSSES[name]
    first = 2 * np.random.default_rng(2).standard_normal((3, 4))
    gradient = loss(first, targets, **options)[1]
    expected = differences(lambda: loss(first, targets, **options)[0], first)
    np.testing.assert_allclose(gradient, expected, **TOLERANCE)
