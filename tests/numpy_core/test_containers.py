import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from numpy_core import Embedding, Flatten, Linear, Residual, Sequential, Tanh
from tests.numpy_core.against_torch import arrays, compare, many, seeds, sizes


def affine(x, parameters, name):
    return x @ parameters[f"{name}.weight"].T + parameters[f"{name}.bias"]


@many
@given(sizes, sizes, sizes, sizes, seeds)
def test_sequential_like_torch(batch, inputs, hidden, outputs, rng):
    model = Sequential(
        Linear(inputs, hidden, rng, dtype=np.float64),
        Tanh(),
        Sequential(Linear(hidden, outputs, rng, dtype=np.float64)),
    )
    compare(model, lambda x, p: affine(torch.tanh(affine(x, p, "0")), p, "2.0"), arrays((batch, inputs), rng), rng)


@many
@given(sizes, sizes, sizes, st.booleans(), seeds)
def test_residual_like_torch(batch, features, outputs, with_shortcut, rng):
    outputs = outputs if with_shortcut else features
    model = Residual(
        Sequential(Linear(features, outputs, rng, dtype=np.float64), Tanh()),
        Linear(features, outputs, rng, dtype=np.float64) if with_shortcut else None,
    )
    compare(
        model,
        lambda x, p: torch.tanh(affine(x, p, "body.0")) + (affine(x, p, "shortcut") if with_shortcut else x),
        arrays((batch, features), rng),
        rng,
    )


@many
@given(st.lists(sizes, min_size=1, max_size=4), seeds)
def test_flatten_like_torch(shape, rng):
    compare(Flatten(), lambda x, p: x.reshape(len(x), -1), arrays(tuple(shape), rng), rng)


def test_without_layers_the_input_comes_back():
    x = np.ones((2, 3))
    model = Sequential()
    np.testing.assert_array_equal(model(x), x)
    np.testing.assert_array_equal(model.backward(x), x)


def test_a_parameter_of_two_layers_is_listed_once_and_sums_both_gradients():
    """A tied output layer: logits = (embedded) E^T."""
    rng = np.random.default_rng(0)
    embedding, head = Embedding(5, 3, rng, dtype=np.float64), Linear(3, 5, rng, bias=False, dtype=np.float64)
    head.weight = embedding.weight
    model = Sequential(embedding, Tanh(), head)
    assert list(model.parameters()) == ["0.weight"]
    compare(
        model,
        lambda x, p: torch.tanh(p["0.weight"][x]) @ p["0.weight"].T,
        rng.integers(0, 5, (4, 6)),
        rng,
    )


def test_a_layer_may_not_come_twice():
    """Its second forward would write over what the backward of its first needs."""
    tanh = Tanh()
    with pytest.raises(ValueError, match="Tanh comes twice; give each place a layer of its own"):
        Sequential(Linear(3, 3, np.random.default_rng(0)), tanh, tanh)
