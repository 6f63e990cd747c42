import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from numpy_core import BatchNorm1d, BatchNorm2d, LayerNorm
from tests.numpy_core.against_torch import arrays, close, compare, many, seeds, sizes

SHAPES = {
    BatchNorm1d: st.one_of(st.tuples(st.integers(2, 5), sizes), st.tuples(sizes, sizes, sizes)),
    BatchNorm2d: st.tuples(sizes, sizes, sizes, sizes),
}


@pytest.mark.parametrize("kind", SHAPES)
@many
@given(st.data(), st.booleans(), st.sampled_from([0.1, 0.0, 1.0]), st.sampled_from([1e-5, 1e-2]), seeds)
def test_batch_norm_like_torch(kind, data, training, momentum, epsilon, rng):
    shape = data.draw(SHAPES[kind].filter(lambda shape: not training or np.prod(shape) // shape[1] > 1))
    layer = kind(shape[1], momentum, epsilon, dtype=np.float64).train(training)
    layer.running_mean[...], layer.running_var[...] = rng.standard_normal(shape[1]), rng.uniform(0.5, 2, shape[1])
    mean, var = torch.tensor(layer.running_mean), torch.tensor(layer.running_var)
    x = 3 * arrays(shape, rng) + 1
    compare(
        layer,
        lambda x, p: F.batch_norm(x, mean, var, p["weight"], p["bias"], training, momentum, epsilon),
        x,
        rng,
    )
    close(layer.running_mean, mean.numpy(), "running mean")
    close(layer.running_var, var.numpy(), "running variance")


def test_backward_in_the_mode_of_its_forward():
    """Changing the mode between forward and backward does not mix two formulas."""
    rng = np.random.default_rng(0)
    x, dy = arrays((4, 3), rng), arrays((4, 3), rng)
    layer = BatchNorm1d(3, dtype=np.float64)
    layer(x)
    expected = layer.backward(dy)
    layer(x)
    layer.eval()
    np.testing.assert_array_equal(layer.backward(dy), expected)


def test_running_statistics_approach_those_of_the_data():
    rng = np.random.default_rng(0)
    layer = BatchNorm1d(2, dtype=np.float64)
    for _ in range(2000):
        layer(rng.normal([1.0, -2.0], [0.5, 3.0], (64, 2)))
    # of a moving mean over about 20 batches of 64: the mean is known to sigma / 36, the deviation to 2 %
    np.testing.assert_allclose(layer.running_mean, [1.0, -2.0], atol=3 * 3.0 / 36)
    np.testing.assert_allclose(np.sqrt(layer.running_var), [0.5, 3.0], rtol=3 * 0.02)


@many
@given(st.lists(sizes, max_size=3), st.integers(1, 7), st.sampled_from([1e-5, 1e-2]), seeds)
def test_layer_norm_like_torch(leading, features, epsilon, rng):
    x = 3 * arrays((*leading, features), rng) + 1
    compare(
        LayerNorm(features, epsilon, dtype=np.float64),
        lambda x, p: F.layer_norm(x, (features,), p["weight"], p["bias"], epsilon),
        x,
        rng,
    )
