import numpy as np
import pytest

from numpy_core import BatchNorm1d, Dropout, Linear, Module, Parameter, Residual, Sequential
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
def test_an_empty_batch_gives_an_empty_output(name):
    """As in torch, forward and backward; in eval mode, as a batch norm has nothing to measure."""
    layer, x = build(name, np.float64)
    layer.eval()
    y = layer(x[:0])
    assert y.shape == (0, *layer(x).shape[1:])
    layer(x[:0])
    dx = layer.backward(y)
    assert dx is None or dx.shape == x[:0].shape
    assert all(not parameter.grad.any() for parameter in layer.parameters().values())


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


class Spread(Module):
    """Layers and a parameter wherever they may lie; one layer in two places."""

    def __init__(self, rng):
        first = Linear(2, 2, rng)
        self.rows = [[Linear(2, 2, rng)], (BatchNorm1d(2), Dropout(0.5, rng))]
        self.named = {"a": first, "deeper": {"b": [Linear(2, 2, rng)]}}
        self.both = (first, Parameter(np.zeros(2, np.float32)))


def test_layers_are_found_wherever_they_lie():
    """In lists of lists, tuples, dicts, attributes set later; what is shared counts once."""
    rng = np.random.default_rng(0)
    module = Spread(rng)
    module.late = Linear(2, 2, rng, bias=False)
    pairs = ["rows.0.0", "rows.1.0", "named.a", "named.deeper.b.0"]
    weights = {f"{name}.{part}" for name in pairs for part in ("weight", "bias")} | {"both.1", "late.weight"}
    assert set(module.parameters()) == weights
    assert module.state().keys() == weights | {"rows.1.0.running_mean", "rows.1.0.running_var"}
    assert len(list(module.modules())) == 7
    assert module.generators() == [rng]
    module.eval()
    assert not any(layer.training for layer in (module.rows[0][0], *module.rows[1], module.both[0], module.late))
    module.inner = module  # a way back to itself ends no walk
    assert set(module.parameters()) == weights


def test_two_lists_of_layers_are_two():
    rng, module = np.random.default_rng(0), Module()
    module.encoder, module.decoder = [Linear(2, 2, rng)], [Linear(2, 2, rng)]
    assert len(module.parameters()) == 4
    assert len(module.state()) == 4


def test_a_layer_set_on_a_row_of_layers_is_found():
    model = nested()
    model.head = Linear(3, 2, np.random.default_rng(0))
    assert {"0.weight", "head.weight"} <= model.parameters().keys()


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
