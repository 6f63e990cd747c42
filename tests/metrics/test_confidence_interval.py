"""Student's t interval against SciPy's."""

import numpy as np
import pytest
from scipy import stats

from metrics.confidence_interval import students_t_interval


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 3, 50])
def test_as_scipy(n, confidence):
    values = np.random.default_rng(n).normal(size=n).tolist()
    mean, low, high = students_t_interval(values, confidence)
    assert mean == pytest.approx(np.mean(values))
    theirs = stats.t.interval(confidence, n - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (low, high) == pytest.approx(theirs)


def test_it_is_cut_where_no_value_can_lie():
    assert students_t_interval([0.0, 1.0], low=0.0, high=1.0) == (0.5, 0.0, 1.0)


def test_a_single_value_says_nothing_of_the_spread():
    assert students_t_interval([0.3]) == (0.3, -np.inf, np.inf)
    assert students_t_interval([0.3], low=0.0, high=1.0) == (0.3, 0.0, 1.0)


@pytest.mark.parametrize("arguments", [([],), ([1.0], 0.0), ([1.0], 1.0)])
def test_what_has_no_interval_is_refused(arguments):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        students_t_interval(*arguments)
