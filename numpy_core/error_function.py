"""The error function, which NumPy lacks: erf(x) = 2 / sqrt(pi) * integral of exp(-t^2) from 0 to x."""

import math

import numpy as np

_STEP = 2.0**-10
_END = 6.0  # 1 - erf(6) = 2e-17
_GRID = np.arange(0, _END + _STEP, _STEP)
_VALUES = np.array([math.erf(x) for x in _GRID])
_SLOPES = 2 / math.sqrt(math.pi) * np.exp(-(_GRID**2))


def erf(x: np.ndarray) -> np.ndarray:
    """erf of each number, to 1e-15 in float64: a Taylor series about the nearest of 6,000 known values.

    With h = x - x0 and g = erf'(x0):

        erf(x) = erf(x0) + g (h - x0 h^2 + (2 x0^2 - 1) h^3 / 3 + x0 (3 - 2 x0^2) h^4 / 6)

    where |h| < 2^-11 leaves an error of order h^5 ~ 1e-17.
    """
    z = np.minimum(np.abs(x), _END).astype(np.float64, copy=False)
    nearest = np.rint(np.fmin(z, _END) / _STEP).astype(np.intp)  # fmin: NaN has no place in a table, and stays in z
    x0 = _GRID[nearest]
    h = z - x0
    series = h * (1 + h * (-x0 + h * ((2 * x0 * x0 - 1) / 3 + h * x0 * (3 - 2 * x0 * x0) / 6)))
    return np.copysign(_VALUES[nearest] + _SLOPES[nearest] * series, x).astype(x.dtype, copy=False)
