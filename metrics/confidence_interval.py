"""A mean with its confidence interval: Student's t for numbers. For shares of successes see `wilson_interval.py`."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

import limits


class ConfidenceInterval(NamedTuple):
    """A mean, and the ends of its confidence interval."""

    mean: float
    low: float
    high: float


def students_t_interval(
    values: Sequence[float], confidence: float = 0.95, low: float = -np.inf, high: float = np.inf
) -> ConfidenceInterval:
    """Mean +- t s / sqrt(n), where t is Student's quantile of n - 1 degrees of freedom and s the sample's std.

    Args:
        values: n >= 1 independent measurements. A single one says nothing of the spread: its interval is [low, high].
        confidence: the share of intervals that hold the true mean.
        low: what no measurement lies below; the interval is cut off there.
        high: what no measurement lies above.

    >>> mean, low, high = students_t_interval([1.0, 2.0, 3.0])
    >>> print(f"{mean:.2f} [{low:.2f}, {high:.2f}]")
    2.00 [-0.48, 4.48]
    """
    limits.number("(0, 1)", confidence=confidence)
    limits.number("[-inf, inf]", low=low, high=high)
    for value in values:
        limits.number("(-inf, inf)", values=value)
    if not values:
        raise ValueError("a mean needs at least one value; got none")
    mean = float(np.mean(values))
    if len(values) < 2:
        return ConfidenceInterval(mean, low, high)
    quantile = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1))
    half = quantile * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return ConfidenceInterval(mean, max(low, mean - half), min(high, mean + half))
