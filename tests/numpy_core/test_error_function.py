import math

import numpy as np
import pytest
from scipy import special

from numpy_core.error_function import erf


@pytest.mark.parametrize(
    "numbers", [np.linspace(-7, 7, 100_001), np.geomspace(1e-300, 30, 10_001)], ids=["even", "small"]
)
def test_like_scipy(numbers):
    """To a few units in the last place, near zero as well, where erf(x) is 2 x / sqrt(pi)."""
    np.testing.assert_allclose(erf(numbers), special.erf(numbers), rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(erf(numbers), special.erf(numbers), rtol=1e-13, atol=0)


def test_special_numbers():
    found = erf(np.array([0.0, -0.0, math.inf, -math.inf, math.nan]))
    np.testing.assert_array_equal(found, [0, 0, 1, -1, math.nan])
    np.testing.assert_array_equal(np.signbit(found[:2]), [False, True])


def test_keeps_dtype_and_shape():
    x = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    assert erf(x).dtype == np.float32
    np.testing.assert_allclose(erf(x), special.erf(x), rtol=1e-6)
