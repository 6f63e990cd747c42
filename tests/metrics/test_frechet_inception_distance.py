"""Of Gaussians whose distance is known in closed form."""

import pytest
import torch

from metrics.frechet_inception_distance import frechet_distance


def gaussian(mean, factor, n=200_000, seed=0):
    mean, factor = torch.tensor(mean).double(), torch.tensor(factor).double()
    white = torch.randn(n, len(mean), generator=torch.Generator().manual_seed(seed)).double()
    white = (white - white.mean(0)) @ torch.linalg.cholesky(torch.linalg.inv(white.T.cov()))  # exactly white
    return mean + white @ factor.T


def test_frechet_distance_of_known_gaussians():
    """|m - m'|^2 + Tr(S + S' - 2 (S S')^(1/2)), which for commuting S is the sum of (s - s')^2 over deviations s."""
    here = gaussian([0.0, 1.0], [[2.0, 0.0], [0.0, 0.5]])
    there = gaussian([3.0, -1.0], [[1.0, 0.0], [0.0, 1.5]], seed=1)
    assert frechet_distance(here, there) == pytest.approx(9 + 4 + (2 - 1) ** 2 + (0.5 - 1.5) ** 2, rel=1e-6)
    assert frechet_distance(here, here) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_gaussians_that_do_not_commute():
    """By the eigenvalues of S S', here of 2 x 2 matrices: the trace of the root is (t + 2 d^(1/2))^(1/2), where t and d
    are trace and determinant of S S'."""
    a, b = [[1.0, 0.0], [0.8, 0.6]], [[0.5, -0.4], [0.0, 2.0]]
    s, t = (torch.tensor(m).double() @ torch.tensor(m).double().T for m in (a, b))
    product = s @ t
    expected = s.trace() + t.trace() - 2 * (product.trace() + 2 * product.det().sqrt()).sqrt()
    assert frechet_distance(gaussian([0.0, 0.0], a), gaussian([0.0, 0.0], b, seed=1)) == pytest.approx(
        float(expected), rel=1e-6
    )
