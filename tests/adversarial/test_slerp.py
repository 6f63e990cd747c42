import math

import numpy as np
import pytest
import torch

from adversarial.slerp import slerp


def normal(count=50, size=128):
    return torch.randn(2, count, size, generator=torch.Generator().manual_seed(0)).double()


def test_a_great_circle():
    """In the plane, by angles; lengths change evenly."""
    start, end = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    for share in (0.0, 0.25, 0.5, 1.0):
        angle, length = torch.tensor(share * torch.pi / 2), 2 + 2 * share
        expected = length * torch.stack([angle.cos(), angle.sin()])[None]
        torch.testing.assert_close(slerp(start, end, share), expected, rtol=1e-5, atol=1e-5)


def test_the_ends_are_the_ends():
    start, end = normal()
    torch.testing.assert_close(slerp(start, end, 0.0), start)
    torch.testing.assert_close(slerp(start, end, 1.0), end)
    torch.testing.assert_close(slerp(start, end, 0.3), slerp(end, start, 0.7))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_angles_and_norms_are_in_proportion(share):
    start, end = normal()
    point = slerp(start, end, share)

    def angle(a, b):
        return torch.cosine_similarity(a, b).acos()

    torch.testing.assert_close(angle(start, point), share * angle(start, end))
    torch.testing.assert_close(angle(point, end), (1 - share) * angle(start, end))
    torch.testing.assert_close(point.norm(dim=1), (1 - share) * start.norm(dim=1) + share * end.norm(dim=1))


def test_on_the_sphere_it_is_scipys():
    geometric_slerp = pytest.importorskip("scipy.spatial").geometric_slerp
    start, end = (torch.nn.functional.normalize(x) for x in normal(5, 7))
    shares = np.linspace(0, 1, 6)
    for a, b in zip(start, end, strict=True):
        ours = torch.cat([slerp(a[None], b[None], float(share)) for share in shares])
        np.testing.assert_allclose(ours.numpy(), geometric_slerp(a.numpy(), b.numpy(), shares), atol=1e-12)


def test_a_point_between_normal_draws_is_as_long_as_they_are():
    a, b = normal()
    assert (slerp(a, b, 0.5).norm(dim=1) - 128**0.5).abs().max() < 2
    assert ((a + b) / 2).norm(dim=1).max() < 10  # the straight line's middle, where 11.3 is usual


def test_what_has_no_circle_is_refused():
    start = normal()[0]
    for end in (start, 2 * start, -start):
        with pytest.raises(ValueError, match="same or opposite"):
            slerp(start, end, 0.5)
    for share in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="share"):
            slerp(*normal(), share)
