import math

import pytest
import torch

from diffusion.noise import generators
from diffusion.timestep_distribution import LogitNormal, Uniform


def test_uniform_is_what_randint_draws():
    ours = Uniform()(50, (7, 3), torch.Generator().manual_seed(1))
    assert torch.equal(ours, torch.randint(50, (7, 3), generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.8, 1.2)])
def test_logit_normal_shares_are_those_of_its_density(mean, std):
    """Esser et al. 2024, Eq. 19, integrated over tenths of the steps."""
    t = LogitNormal(mean, std)(1000, (200_000,), torch.Generator().manual_seed(0))
    shares = torch.histc(t.double(), 10, 0, 1000) / len(t)
    u = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    logit = (u / (1 - u)).log()
    density = (-((logit - mean) ** 2) / (2 * std**2)).exp() / (std * math.sqrt(2 * math.pi) * u * (1 - u))
    torch.testing.assert_close(shares, density.reshape(10, -1).mean(1) / 10, rtol=0, atol=4e-3)


@pytest.mark.parametrize("distribution", [Uniform(), LogitNormal(), LogitNormal(100.0), LogitNormal(-100.0)])
@pytest.mark.parametrize("total", [1, 2, 1_000_000])
def test_steps_are_those_that_there_are(distribution, total):
    t = distribution(total, (5, 2), torch.Generator().manual_seed(0))
    assert t.dtype == torch.long
    assert t.shape == (5, 2)
    assert 0 <= int(t.min()) <= int(t.max()) < total


@pytest.mark.parametrize("distribution", [Uniform(), LogitNormal()])
def test_a_sample_s_steps_do_not_depend_on_the_batch(distribution):
    together = distribution(1000, (4, 3), generators(0, range(4)))
    assert torch.equal(distribution(1000, (2, 3), generators(0, [2, 3])), together[2:])


@pytest.mark.parametrize(("mean", "std"), [(101, 1), (math.nan, 1), (0, 0), (0, -1), (0, math.inf)])
def test_impossible_numbers(mean, std):
    with pytest.raises(ValueError, match="must be"):
        LogitNormal(mean, std)
