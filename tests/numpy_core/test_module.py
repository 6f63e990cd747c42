import numpy as np
import pytest

from numpy_core import BatchNorm1d, Dropout, Linear, Residual, Sequential
from tests.numpy_core.layers import LAYERS, build

WITH_PARAMETERS = [name for name in LAYERS if build(name, np.float64)[0].parameters()]


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_gradients_accumulate(name):
    """Backward twice for one forward, with two gradients, is backward once with their sum."""
    layer, x = build(name, np.float64)
    y = layer(x)
    first, second = np.random.default_rng(1).standard_normal((2, *y.shape))
    layer.backward(first)
    layer.backward(second)
    twice = [parameter.grad for parameter in layer.parameters().values()]
    for parameter in layer.parameters().values():
        parameter.grad = None
    layer.backward(first + second)
    for found, parameter in zip(twice, layer.parameters().values(), strict=True):
        np.testing.assert_allclose(found, parameter.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_in_use_nothing_is_random_or_changes(name):
    layer, x = build(name, np.float64)
    layer(x)
    layer.eval()
    before = layer.state()
    np.testing.assert_array_equal(layer(x), layer(x))
    for key, array in layer.state().items():
        np.testing.assert_array_equal(array, before[key], err_msg=key)


@pytest.mark.parametrize("name", LAYERS)
def test_a_batch_in_use_is_its_examples_one_by_one(name):
    layer, x = build(name, np.float64)
    layer.eval()
    alone = np.concatenate([layer(x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_allclose(layer(x), alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_state_moves_to_another_layer(name):
    layer, x = build(name, np.float64, seed=0)
    layer(x)  # moves running statistics
    other, _ = build(name, np.float64, seed=1)
    other.load_state(layer.state())
    np.testing.assert_array_equal(layer.eval()(x), other.eval()(x))


def nested() -> Sequential:
    rng = np.random.default_rng(0)
    return Sequential(Linear(3, 3, rng), Residual(Sequential(BatchNorm1d(3), Dropout(0.5, rng))))


def test_names():
    model = nested()
    weights = ["0.weight", "0.bias", "1.body.0.weight", "1.body.0.bias"]
    assert list(model.parameters()) == weights
    assert model.state().keys() == {*weights, "1.body.0.running_mean", "1.body.0.running_var"}
    assert len(list(model.modules())) == 6
    assert model.generators() == [model.layers[1].body.layers[1].rng]


def test_modes_reach_every_layer():
    model = nested()
    assert all(module.training for module in model.modules())
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    assert all(module.training for module in model.train().modules())


def test_state_is_a_copy():
    model = nested()
    before = model.state()
    model.parameters()["0.weight"].value += 1
    np.testing.assert_array_equal(model.state()["0.weight"], before["0.weight"] + 1)


def test_a_state_that_does_not_fit_changes_nothing():
    model = nested()
    before = model.state()
    bad = {name: array + 1 for name, array in before.items()}
    bad["1.body.0.running_var"] = np.ones(4, np.float32)
    with pytest.raises(
        ValueError, match=r"running_var in the state is float32 of shape \(4,\); this model has float32 of"
    ):
        model.load_state(bad)
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, before[name])
