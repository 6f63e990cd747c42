import pytest
import torch

from adversarial.slerp import slerp


def test_a_great_circle():
    """In the plane, by angles; lengths change evenly."""
    start, end = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    for share in (0.0, 0.25, 0.5, 1.0):
        angle, length = torch.tensor(share * torch.pi / 2), 2 + 2 * share
        expected = length * torch.stack([angle.cos(), angle.sin()])[None]
        torch.testing.assert_close(slerp(start, end, share), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="same or opposite"):
        slerp(start, start, 0.5)


def test_a_point_between_normal_draws_is_as_long_as_they_are():
    a, b = torch.randn(2, 50, 128, generator=torch.Generator().manual_seed(0))
    assert (slerp(a, b, 0.5).norm(dim=1) - 128**0.5).abs().max() < 2
    assert ((a + b) / 2).norm(dim=1).max() < 10  # the straight line's middle, where 11.3 is usual
