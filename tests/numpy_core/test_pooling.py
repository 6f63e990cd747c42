import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from numpy_core import AvgPool2d, MaxPool2d
from tests.numpy_core.against_torch import arrays, compare, many, seeds


@st.composite
def options(draw):
    """(kernel, stride, padding) and a shape: windows that overlap, touch or leave gaps, borders up to half a kernel."""
    kernel, stride = (draw(st.tuples(st.integers(1, high), st.integers(1, high))) for high in (4, 5))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    image = (max(1, k - 2 * p) + draw(st.integers(0, 5)) for k, p in zip(kernel, padding, strict=True))
    return (kernel, stride, padding), (draw(st.integers(1, 3)), draw(st.integers(1, 3)), *image)


@many
@given(options(), st.booleans(), seeds)
def test_max_like_torch(options, ties, rng):
    """Ties included: torch too gives the gradient to the first of equals."""
    options, shape = options
    compare(MaxPool2d(*options), lambda x, p: F.max_pool2d(x, *options), arrays(shape, rng, ties), rng)


@many
@given(options(), seeds)
def test_average_like_torch(options, rng):
    options, shape = options
    compare(AvgPool2d(*options), lambda x, p: F.avg_pool2d(x, *options), arrays(shape, rng), rng)


def test_windows_touch_unless_told_otherwise():
    rng = np.random.default_rng(0)
    compare(MaxPool2d(2), lambda x, p: F.max_pool2d(x, 2), arrays((2, 3, 5, 7), rng), rng)
    compare(AvgPool2d((3, 2)), lambda x, p: F.avg_pool2d(x, (3, 2)), arrays((2, 3, 7, 5), rng), rng)


def test_more_taps_than_a_byte_counts():
    rng = np.random.default_rng(0)
    compare(MaxPool2d(17), lambda x, p: F.max_pool2d(x, 17), arrays((1, 1, 34, 34), rng), rng)


def test_nan_is_passed_on():
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 1, 0], x[0, 0, 2, 2] = np.nan, np.nan
    np.testing.assert_array_equal(MaxPool2d(2)(x), F.max_pool2d(torch.tensor(x), 2).numpy())
