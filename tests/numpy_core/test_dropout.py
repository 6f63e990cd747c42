import numpy as np
import pytest
import torch

from numpy_core import Dropout, Sequential
from tests.numpy_core.against_torch import arrays, compare


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_rate_and_scale(p):
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 2, (400, 500))
    y = Dropout(p, rng)(x)
    deviation = np.sqrt(p * (1 - p) / x.size)
    assert abs((y == 0).mean() - p) < 4 * deviation
    np.testing.assert_allclose(y[y != 0], x[y != 0] / (1 - p), rtol=1e-15)
    assert y.mean() == pytest.approx(x.mean(), abs=4 * 2 * deviation / (1 - p))


def test_gradient_takes_the_same_path():
    """Like a product with a mask, which the output for ones shows when the generator starts alike."""
    layer = Dropout(0.4, np.random.default_rng(3))
    mask = torch.tensor(Dropout(0.4, np.random.default_rng(3))(np.ones((6, 7))))
    rng = np.random.default_rng(0)
    compare(layer, lambda x, p: x * mask, arrays((6, 7), rng), rng)


def test_every_forward_draws_anew():
    layer = Dropout(0.5, np.random.default_rng(0))
    assert (layer(np.ones((20, 20))) != layer(np.ones((20, 20)))).any()


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_identity(p, training):
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    model = Sequential(Dropout(p, rng)).train(training)
    compare(model, lambda x, p: x * 1, arrays((3, 4), np.random.default_rng(1)), np.random.default_rng(2))
    assert rng.bit_generator.state == before, "nothing is drawn where nothing is dropped"
