"""Wilson's interval against SciPy's, and against what defines it."""

import pytest
from scipy import stats

from metrics.wilson_interval import wilson_interval

CASES = [(0, 1), (1, 1), (0, 500), (500, 500), (496, 500), (1, 3), (50, 100)]


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("successes", "n"), CASES)
def test_as_scipy(successes, n, confidence):
    share, low, high = wilson_interval(successes, n, confidence)
    theirs = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert (share, low, high) == pytest.approx((successes / n, theirs.low, theirs.high), abs=1e-12)
    assert 0 <= low <= share <= high <= 1


@pytest.mark.parametrize(("successes", "n"), [(1, 3), (50, 100), (496, 500)])
def test_its_ends_are_where_the_score_test_just_rejects(successes, n):
    """|p - p0| = z sqrt(p0 (1 - p0) / n) at both ends p0."""
    share, *ends = wilson_interval(successes, n, 0.95)
    for end in ends:
        assert abs(share - end) == pytest.approx(stats.norm.ppf(0.975) * (end * (1 - end) / n) ** 0.5)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((1, 0), "n=0"), ((-1, 3), "successes=-1"), ((4, 3), "successes=4"), ((1, 3, 1.0), "confidence=1.0")],
)
def test_impossible_numbers_are_named(arguments, name):
    with pytest.raises(ValueError, match=name):
        wilson_interval(*arguments)
