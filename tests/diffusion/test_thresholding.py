import numpy as np
import pytest
import torch

from diffusion.thresholding import DynamicThresholding, NoThresholding, StaticThresholding


@pytest.fixture
def x0():
    """One sample within [-1, 1], one slightly beyond, one far beyond."""
    values = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return values / values.abs().amax((1, 2, 3), keepdim=True) * torch.tensor([0.9, 1.4, 6.0])[:, None, None, None]


def test_static_clips(x0):
    assert torch.equal(StaticThresholding()(x0), x0.clamp(-1, 1))


def test_dynamic_is_the_formula_of_the_paper_for_each_sample_by_itself(x0):
    result = DynamicThresholding(0.9)(x0)
    for sample, thresholded in zip(x0.double().numpy(), result, strict=True):
        size = max(np.percentile(np.abs(sample), 90), 1.0)
        expected = torch.from_numpy(np.clip(sample, -size, size) / size).float()
        torch.testing.assert_close(thresholded, expected, rtol=1e-6, atol=1e-6)


def test_what_lies_within_the_range_stays(x0):
    for thresholding in (NoThresholding(), StaticThresholding(), DynamicThresholding()):
        torch.testing.assert_close(thresholding(x0[:1]), x0[:1], rtol=0, atol=0)


def test_no_sample_depends_on_another(x0):
    torch.testing.assert_close(DynamicThresholding()(x0)[2:], DynamicThresholding()(x0[2:]), rtol=0, atol=0)


def test_dynamic_ends_within_the_range_with_few_values_at_its_border(x0):
    static, dynamic = StaticThresholding()(x0[2]), DynamicThresholding()(x0[2:])[0]
    assert dynamic.abs().max() <= 1
    assert (dynamic.abs() == 1).float().mean() <= 0.01  # a share of 1 - 0.995, rounded up to whole values
    assert (static.abs() == 1).float().mean() > 0.3


def test_keeps_the_type():
    assert DynamicThresholding()(torch.full((2, 4), 3.0, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("percentile", [0, -1, 1.5, 99.5, float("nan")])
def test_impossible_percentiles(percentile):
    with pytest.raises(ValueError, match=f"percentile={percentile} must be above 0 and at most 1"):
        DynamicThresholding(percentile)


def test_the_highest_percentile_is_the_largest_value(x0):
    torch.testing.assert_close(DynamicThresholding(1)(x0[2:]), x0[2:] / 6)
