import pytest
import torch

from metrics.kernel_inception_distance import kernel_distance


def test_kernel_distance_by_its_definition():
    """Over sets as large as the subsets: averages over all pairs, without those of an image with itself."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(30, 5, generator=generator), torch.randn(30, 5, generator=generator) + 0.5

    def kernel(a, b):
        return (a.double() @ b.double().T / 5 + 1) ** 3

    def among(k):
        return (k.sum() - k.trace()) / (30 * 29)

    expected = among(kernel(x, x)) + among(kernel(y, y)) - 2 * kernel(x, y).mean()
    assert kernel_distance(x, y) == pytest.approx(float(expected), rel=1e-6)


def test_kernel_distance_leaves_the_global_generator_alone():
    x = torch.randn(90, 3, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    first = kernel_distance(x, x[:60] + 1, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert kernel_distance(x, x[:60] + 1, seed=1) == first
    assert kernel_distance(x, x[:60] + 1, seed=2) != first
