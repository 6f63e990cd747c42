"""Wilson's score interval for a share of successes.

Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference". Unlike the normal approximation it
stays in [0, 1] and is right where nearly all or nearly none succeed.
"""

from statistics import NormalDist

import limits
from metrics.confidence_interval import ConfidenceInterval


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> ConfidenceInterval:
    """The share p = successes / n, and the interval of shares that the normal test does not reject.

    With z the normal quantile of the confidence, its ends are

        (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    >>> share, low, high = wilson_interval(496, 500)
    >>> print(f"{share:.1%} [{low:.1%}, {high:.1%}]")
    99.2% [98.0%, 99.7%]
    """
    limits.whole(n=n)
    limits.whole(0, n, successes=successes)
    limits.number("(0, 1)", confidence=confidence)
    share, z = successes / n, NormalDist().inv_cdf((1 + confidence) / 2)
    scale = 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / scale
    half = z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5 / scale
    # At the ends the formula gives 0 and 1 exactly; in floating point, nearly.
    return ConfidenceInterval(share, 0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half)
