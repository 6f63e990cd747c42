"""Against the authors' package, loops over balls, and values that are known in closed form."""

import numpy as np
import pytest
import torch

from metrics import precision_recall as module
from metrics.precision_recall import PrecisionRecall, expected_coverage, precision_recall


def normal(n, size=3, seed=0, shift=0.0):
    return torch.randn(n, size, generator=torch.Generator().manual_seed(seed)) + shift


def by_loops(real, samples, k):
    """The definitions, ball by ball."""
    real, samples = real.double().numpy(), samples.double().numpy()

    def radius(points, i):
        return sorted(np.linalg.norm(points[i] - points[j]) for j in range(len(points)) if j != i)[k - 1]

    def inside(point, centre, reach):
        return np.linalg.norm(point - centre) <= reach

    real_radii, sample_radii = ([radius(points, i) for i in range(len(points))] for points in (real, samples))
    holds = np.array([[inside(y, x, r) for y in samples] for x, r in zip(real, real_radii, strict=True)])
    held = np.array([[inside(x, y, r) for y, r in zip(samples, sample_radii, strict=True)] for x in real])
    return PrecisionRecall(holds.any(0).mean(), held.any(1).mean(), holds.sum(0).mean() / k, holds.any(1).mean())


@pytest.mark.parametrize(("n", "m", "k"), [(20, 30, 1), (31, 17, 5), (6, 6, 5), (2, 2, 1)])
def test_as_by_loops_over_all_balls(n, m, k, monkeypatch):
    real, samples = normal(n), normal(m, seed=1, shift=0.5)
    assert precision_recall(real, samples, k) == pytest.approx(by_loops(real, samples, k))
    monkeypatch.setattr(module, "ROWS", 7)  # several parts, and a rest
    assert precision_recall(real, samples, k) == pytest.approx(by_loops(real, samples, k))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_as_the_package_of_the_authors(k, capsys):
    prdc = pytest.importorskip("prdc")
    real, samples = normal(200, 8), normal(150, 8, seed=1, shift=0.3)
    theirs = prdc.compute_prdc(real.double().numpy(), samples.double().numpy(), k)
    assert precision_recall(real, samples, k)._asdict() == pytest.approx(theirs)


def test_samples_that_are_the_real_images():
    """Each point lies in its own ball and, without ties, in k others on average."""
    real = normal(60)
    precision, recall, density, coverage = precision_recall(real, real, 4)
    assert (precision, recall, coverage) == (1, 1, 1)
    assert density == pytest.approx((60 * 4 + 60) / 60 / 4)


def test_samples_far_away():
    assert precision_recall(normal(30), normal(30, seed=1, shift=1e3)) == (0, 0, 0, 0)


def test_what_is_real_but_all_alike_has_precision_and_no_recall():
    real = normal(200)
    samples = real[:1] + 1e-6 * normal(200, seed=1)
    precision, recall, _, coverage = precision_recall(real, samples)
    assert precision == 1
    assert recall == pytest.approx(0, abs=0.01)
    assert coverage < 0.1


def test_an_outlier_raises_precision_and_not_density():
    real, samples = normal(200), normal(200, seed=1, shift=8.0)
    without = precision_recall(real, samples)
    with_one = precision_recall(torch.cat([real, torch.full((1, 3), 60.0)]), samples)
    assert without.precision == 0
    assert with_one.precision == 1
    assert with_one.density == pytest.approx(1 / 5)
    assert with_one.coverage < 0.01


def test_swapping_the_sets_swaps_precision_and_recall():
    real, samples = normal(50), normal(70, seed=1, shift=0.5)
    assert precision_recall(real, samples)[:2] == precision_recall(samples, real)[1::-1]


def test_two_sets_from_one_distribution_in_closed_form():
    """Density 1 and `expected_coverage`, whatever the distribution: means over 200 pairs of sets."""
    pairs = [precision_recall(normal(40, seed=seed), normal(30, seed=1000 + seed).float(), 3) for seed in range(200)]
    density, coverage = (torch.tensor([getattr(pair, name) for pair in pairs]) for name in ("density", "coverage"))
    for found, expected in ((density, 30 / 30), (coverage, expected_coverage(40, 30, 3))):
        assert abs(found.mean() - expected) < 3 * found.std() / 200**0.5


def test_expected_coverage_by_hand():
    """Of the points around a real image, the nearest k are all real with this chance."""
    assert expected_coverage(2, 1, 1) == pytest.approx(1 - 1 / 2)
    assert expected_coverage(3, 2, 2) == pytest.approx(1 - (2 / 4) * (1 / 3))
    assert expected_coverage(10**6, 10**6, 5) == pytest.approx(1 - 2**-5, abs=1e-5)


@pytest.mark.parametrize(("n", "m", "k"), [(5, 30, 5), (30, 5, 5), (1, 1, 1), (30, 30, 40)])
def test_too_few_images_for_the_neighbours_are_refused(n, m, k):
    with pytest.raises(ValueError, match=rf"^k={k} neighbours need more than {k} images.* {n} real .* {m} samples$"):
        precision_recall(normal(n), normal(m), k)


def test_small_distances_between_large_features_are_seen():
    """float32 would lose them."""
    real = 1e4 + 1e-3 * normal(50).double()
    samples = 1e4 + 1e-3 * normal(50, seed=1).double()
    assert precision_recall(real, samples) == pytest.approx(by_loops(real, samples, 5))
