import numpy as np
import pytest
import torch

from numpy_core import Conv2d, Linear, initializers

SHAPES = [(300, 200), (64, 32, 5, 3)]
# (ours, torch's, the largest number in deviations or None)
PAIRS = {
    "xavier_uniform": (torch.nn.init.xavier_uniform_, 3**0.5),
    "xavier_normal": (torch.nn.init.xavier_normal_, None),
    "kaiming_uniform": (torch.nn.init.kaiming_uniform_, 3**0.5),
    "kaiming_normal": (torch.nn.init.kaiming_normal_, None),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PAIRS)
def test_mean_and_std(name, shape):
    fan_in, fan_out = shape[1] * int(np.prod(shape[2:])), shape[0] * int(np.prod(shape[2:]))
    deviation = (2 / (fan_in + fan_out) if "xavier" in name else 2 / fan_in) ** 0.5
    weight = getattr(initializers, name)(shape, np.random.default_rng(0), np.float64)
    few = 4 / weight.size**0.5  # four deviations of a mean over so many draws
    assert weight.shape == shape
    assert abs(weight.mean()) < few * deviation
    assert weight.std() == pytest.approx(deviation, rel=few)
    reference, edge = PAIRS[name]
    options = {"nonlinearity": "relu"} if "kaiming" in name else {}
    theirs = reference(torch.empty(shape), **options, generator=torch.Generator().manual_seed(0))
    assert theirs.std().item() == pytest.approx(deviation, rel=few)
    if edge:
        assert deviation * edge * (1 - 1e-3) < np.abs(weight).max() <= deviation * edge


@pytest.mark.parametrize("dtype", ["float32", np.float64])
@pytest.mark.parametrize("name", PAIRS)
def test_dtype_and_generator(name, dtype):
    draw = getattr(initializers, name)
    first, second = (draw((4, 3), np.random.default_rng(1), dtype) for _ in range(2))
    assert first.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(first, second)
    assert (draw((4, 3), np.random.default_rng(2), dtype) != first).all()


def test_signals_keep_their_size_through_relus():
    """He et al. 2015, Sec. 2.2: what the formula is for."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 400))
    for _ in range(20):
        x = np.maximum(Linear(400, 400, rng, initializer=initializers.kaiming_normal, dtype=np.float64)(x), 0)
    assert 0.3 < np.square(x).mean() < 3


def test_layers_start_at_zero_bias():
    rng = np.random.default_rng(0)
    assert not Linear(3, 2, rng).bias.value.any()
    assert not Conv2d(3, 2, 3, rng).bias.value.any()
