"""Precision and recall of samples: whether they are real images' like, and whether they are as varied.

FID mixes the two. Each set of features is taken for the union of balls around its points, each of which reaches to the
point's k-th nearest neighbour in its own set.

    precision  share of samples that lie in a ball of a real image
    recall     share of real images that lie in a ball of a sample
    density    how many balls of real images a sample lies in, over k
    coverage   share of real images whose ball holds a sample

Precision and recall are those of Kynkäänniemi et al. 2019 (arXiv:1904.06991), density and coverage of Naeem et al. 2020
(arXiv:2002.09797). One outlier makes a large ball, which raises precision or recall; density and coverage hardly see
it.

N real images, M samples, F features.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from limits import whole

ROWS = 1000  # of a matrix of distances that are computed at once


class PrecisionRecall(NamedTuple):
    """Of samples; all but the density lie in [0, 1]."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall(real: Tensor, samples: Tensor, k: int = 5) -> PrecisionRecall:
    """Of features (N, F) and (M, F), by distances in float64.

    They depend on N and M: compare figures of the same numbers. For two sets from the same distribution the density is
    1 on average, and the coverage 1 - (1 - M / (N + M))^k where both are large (`expected_coverage` is exact).

    Raises ValueError unless k is less than N and M: a point is not its own neighbour.
    """
    whole(k=k)
    if k >= min(len(real), len(samples)):
        raise ValueError(
            f"k={k} neighbours need more than {k} images on either side; got {len(real)} real images and "
            f"{len(samples)} samples"
        )
    centre = real.double().mean(0)  # large norms would cost digits of small distances
    real, samples = real.double() - centre, samples.double() - centre
    real_radii, sample_radii = _radii(real, k), _radii(samples, k)  # (N,), (M,)
    balls = torch.zeros(len(samples), dtype=torch.long)  # of real images, around each sample
    recalled, covered = [], []
    for rows, distances in _distances(real, samples):
        within = distances <= real_radii[rows, None]  # (rows, M)
        balls += within.sum(0)
        covered.append(within.any(1))
        recalled.append((distances <= sample_radii).any(1))
    return PrecisionRecall(
        precision=(balls > 0).double().mean().item(),
        recall=torch.cat(recalled).double().mean().item(),
        density=balls.double().mean().item() / k,
        coverage=torch.cat(covered).double().mean().item(),
    )


def expected_coverage(n: int, m: int, k: int) -> float:
    """The mean coverage of n real images by m samples from the same distribution (Naeem et al. 2020).

    It is 1 - (n - 1) ... (n - k) / ((n + m - 1) ... (n + m - k)), whatever the distribution.

    >>> round(expected_coverage(10_000, 10_000, 5), 3)
    0.969
    """
    whole(n=n, m=m)
    whole(1, n - 1, k=k)
    missed = 1.0
    for place in range(1, k + 1):
        missed *= (n - place) / (n + m - place)
    return 1 - missed


def _radii(points: Tensor, k: int) -> Tensor:
    """Distance of each point to its k-th nearest other one: (N, F) -> (N,)."""
    found = []
    for rows, distances in _distances(points, points):
        distances[torch.arange(len(distances)), torch.arange(rows.start, rows.stop)] = torch.inf  # itself
        found.append(distances.kthvalue(k).values)
    return torch.cat(found)


def _distances(points: Tensor, others: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of the (N, M) Euclidean distances, some at a time: which ones, and their (rows, M)."""
    for start in range(0, len(points), ROWS):
        rows = slice(start, min(start + ROWS, len(points)))
        yield rows, torch.cdist(points[rows], others)
