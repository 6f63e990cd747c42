import numpy as np
import pytest
import torch
import torch.nn.functional as F

from networks.whitening import whitening_filters


def images(n=200, size=34):
    """Noise whose neighbours agree, with channels of unequal size."""
    x = torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(x, 3, 1) * torch.tensor([1.0, 2.0, 0.5])[:, None, None]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_whitened_patches_are_white(size):
    """The second moment of the outputs is the identity."""
    x, patch = images(), 3 * size**2
    filters = whitening_filters(x, size, eps=1e-9).double()
    assert filters.shape == (2 * patch, 3, size, size)
    outputs = F.conv2d(x.double(), filters).movedim(1, -1).flatten(0, 2)  # (N, 2 patch)
    half = outputs[:, :patch]
    torch.testing.assert_close(outputs[:, patch:], -half)
    torch.testing.assert_close(half.T @ half / len(half), torch.eye(patch).double(), rtol=0, atol=1e-3)


def test_are_those_of_numpy():
    """PCA whitening of patches that a loop has cut out; the sign of an eigenvector is free."""
    x = images(3, 9)
    windows = [x[n, :, i : i + 2, j : j + 2].flatten() for n in range(3) for i in range(6) for j in range(6)]
    patches = torch.stack(windows).double().numpy()
    values, vectors = np.linalg.eigh(patches.T @ patches / len(patches))
    expected = (vectors / np.sqrt(values + 5e-4)).T
    found = whitening_filters(x)[:12].flatten(1).double().numpy()
    signs = np.sign((found * expected).sum(1, keepdims=True))
    np.testing.assert_allclose(found, signs * expected, rtol=1e-4, atol=1e-4)


def test_a_constant_direction_is_not_blown_up():
    assert whitening_filters(torch.zeros(2, 3, 8, 8)).abs().max() <= 5e-4**-0.5 * 1.001


@pytest.mark.parametrize(("options", "words"), [({"size": 9}, "size=9"), ({"eps": 0.0}, r"eps=0\.0")])
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        whitening_filters(torch.zeros(2, 3, 8, 8), **options)
