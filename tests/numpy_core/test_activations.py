import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from numpy_core import GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Tanh, TanhGELU
from tests.numpy_core.against_torch import arrays, close, compare, many, seeds, sizes, some

PAIRS = {
    "ReLU": (ReLU(), F.relu),
    "LeakyReLU": (LeakyReLU(), F.leaky_relu),
    "LeakyReLU with slope 0.3": (LeakyReLU(0.3), lambda x: F.leaky_relu(x, 0.3)),
    "LeakyReLU with a negative slope": (LeakyReLU(-0.5), lambda x: torch.where(x > 0, x, -0.5 * x)),
    "Sigmoid": (Sigmoid(), torch.sigmoid),
    "Tanh": (Tanh(), torch.tanh),
    "GELU": (GELU(), F.gelu),
    "TanhGELU": (TanhGELU(), lambda x: F.gelu(x, approximate="tanh")),
    "SiLU": (SiLU(), F.silu),
}


@pytest.mark.parametrize("name", PAIRS)
@some
@given(st.lists(sizes, max_size=4).map(tuple), st.booleans(), seeds)
def test_like_torch(name, shape, zeros, rng):
    """With zeros as well, where ReLU and LeakyReLU have a kink: torch too takes the left derivative there."""
    layer, reference = PAIRS[name]
    compare(layer, lambda x, p: reference(x), np.asarray(3 * arrays(shape, rng, zeros)), rng)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.filterwarnings("error")
def test_far_out(name):
    """Nothing overflows, warns or becomes NaN at numbers of any size that a network meets."""
    layer, reference = PAIRS[name]
    x = np.array([-1e4, -800.0, -40.0, -6.0, -1e-300, 0.0, 1e-300, 6.0, 40.0, 800.0, 1e4])
    compare(layer, lambda x, p: reference(x), x, np.random.default_rng(0))
    assert np.isfinite(layer(x.astype(np.float32))).all()


@pytest.mark.parametrize("name", PAIRS)
def test_nan_and_infinity_pass_as_in_torch(name):
    layer, reference = PAIRS[name]
    x = np.array([np.nan, -np.nan, np.inf, 1.0])
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(layer(x), reference(torch.tensor(x)).numpy(), rtol=1e-12)


@many
@given(st.lists(sizes, min_size=1, max_size=4).map(tuple), st.data(), seeds)
def test_softmax_like_torch(shape, data, rng):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    compare(Softmax(axis), lambda x, p: torch.softmax(x, axis), 3 * arrays(shape, rng), rng)


@pytest.mark.filterwarnings("error")
def test_softmax_of_extreme_numbers():
    x = np.array([[1e4, -1e4, 1e4], [-1e4, -1e4, 0.0]])
    close(Softmax()(x), np.array([[0.5, 0.0, 0.5], [0.0, 0.0, 1.0]]))
