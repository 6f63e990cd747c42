import math

import pytest
import torch

from networks.nt_xent import NTXent


def by_loops(one, other, temperature):
    """Chen et al. 2020, Eq. 1, and the mean over all positive pairs (i, j) and (j, i)."""
    z = [*one.double(), *other.double()]
    n = len(one)

    def similarity(i, j):
        return float(z[i] @ z[j] / (z[i].norm() * z[j].norm())) / temperature

    losses = []
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        others = sum(math.exp(similarity(i, k)) for k in range(2 * n) if k != i)
        losses.append(-math.log(math.exp(similarity(i, j)) / others))
    return sum(losses) / len(losses)


@pytest.mark.parametrize(("n", "temperature"), [(2, 0.5), (5, 0.1), (7, 2.0)])
def test_as_by_loops(n, temperature):
    one, other = torch.randn(2, n, 6, generator=torch.Generator().manual_seed(n))
    assert NTXent(temperature)(one, other).item() == pytest.approx(by_loops(one, other, temperature), rel=1e-5)


def test_embeddings_that_are_all_alike_in_closed_form():
    same = torch.ones(4, 3)
    assert NTXent()(same, same).item() == pytest.approx(math.log(7))


def test_pairs_at_right_angles_in_closed_form():
    """One similarity of 1 among 2 n - 2 of 0."""
    axes = torch.eye(5)
    assert NTXent(0.5)(axes, axes).item() == pytest.approx(math.log(1 + 8 / math.exp(2)))


def test_their_lengths_do_not_matter():
    one, other = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(NTXent()(one, other), NTXent()(3 * one, 0.1 * other))


def test_in_float32_whatever_the_embeddings_come_in():
    one, other = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = NTXent()(one, other)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, NTXent()(one.float(), other.float()))


def test_a_single_image_is_refused():
    with pytest.raises(ValueError, match="at least 2 images in a batch; got 1"):
        NTXent()(torch.ones(1, 3), torch.ones(1, 3))
