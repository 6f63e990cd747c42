import math

import pytest
import torch

from decoding.sampling import check, draw, next_distribution, uniform

LOGITS = torch.tensor([[0.5, 0.15, 0.05, 0.3]]).log()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.5, 0.15, 0.05, 0.3]),
        ({"temperature": 0.5}, [0.25 / 0.365, 0.0225 / 0.365, 0.0025 / 0.365, 0.09 / 0.365]),
        ({"top_k": 2}, [0.625, 0, 0, 0.375]),
        ({"top_k": 9}, [0.5, 0.15, 0.05, 0.3]),
        ({"top_p": 0.45}, [1, 0, 0, 0]),
        ({"top_p": 0.51}, [0.625, 0, 0, 0.375]),
        ({"top_p": 0.9}, [0.5 / 0.95, 0.15 / 0.95, 0, 0.3 / 0.95]),
        ({"top_p": 1.0}, [0.5, 0.15, 0.05, 0.3]),
        # of 0.625 and 0.375, what the likeliest two are scaled to, the first alone is enough
        ({"top_k": 2, "top_p": 0.6}, [1, 0, 0, 0]),
        # 0.25 / 0.365 = 0.685: after the temperature, the likeliest alone is enough
        ({"temperature": 0.5, "top_p": 0.68}, [1, 0, 0, 0]),
    ],
)
def test_distributions_by_hand(options, expected):
    torch.testing.assert_close(
        next_distribution(LOGITS, **options), torch.tensor([expected]).float(), rtol=0, atol=1e-6
    )


def test_top_p_keeps_the_smallest_set_that_is_likely_enough():
    logits = torch.randn(200, 50, generator=torch.Generator().manual_seed(0)) * 2
    plain, kept = next_distribution(logits), next_distribution(logits, top_p=0.8) > 0
    for row, chosen in zip(plain, kept, strict=True):
        ordered = row.sort(descending=True).values
        fewest = next(n for n in range(1, 51) if ordered[:n].sum() >= 0.8)
        assert chosen.sum() == fewest
        assert row[chosen].min() >= row[~chosen].max()


def test_rows_are_apart():
    logits = torch.randn(5, 9, generator=torch.Generator().manual_seed(0))
    together = next_distribution(logits, 0.7, 4, 0.9)
    alone = torch.cat([next_distribution(row[None], 0.7, 4, 0.9) for row in logits])
    assert torch.equal(together, alone)
    torch.testing.assert_close(together.sum(-1), torch.ones(5))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((-1.0, None, None), "temperature=-1.0"),
        ((math.nan, None, None), "temperature=nan"),
        ((math.inf, None, None), "temperature=inf"),
        ((1.0, 0, None), "top_k=0"),
        ((1.0, -1, None), "top_k=-1"),
        ((1.0, None, 0.0), "top_p=0.0"),
        ((1.0, None, -1.0), "top_p=-1.0"),
        ((1.0, None, 1.1), "top_p=1.1"),
        ((1.0, None, math.nan), "top_p=nan"),
    ],
)
def test_what_is_out_of_range_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        check(*arguments)
    check(math.nextafter(0, 1), 1, math.nextafter(0, 1))
    check(1e308, 10**30, 1.0)


@pytest.mark.parametrize("temperature", [5e-324, 1e-40, 1e-30, 1e-3])
@pytest.mark.parametrize("scale", [1.0, 1e4, 1e38])
def test_no_temperature_is_too_small(temperature, scale):
    logits = torch.tensor([[1.0, -1.0, 2.0, -math.inf]]) * scale
    assert next_distribution(logits, temperature).tolist() == [[0, 0, 1, 0]]


def test_a_huge_temperature_makes_all_equally_likely():
    torch.testing.assert_close(next_distribution(LOGITS, 1e308), torch.full((1, 4), 0.25))
    suppressed = torch.cat([LOGITS, torch.full((1, 1), -math.inf)], 1)
    torch.testing.assert_close(next_distribution(suppressed, 1e308), torch.tensor([[0.25, 0.25, 0.25, 0.25, 0.0]]))


def test_all_the_probability_leaves_no_token_out():
    """Sums of many tokens are rounded past 1 before the last of them."""
    logits = torch.randn(50, 5_000, generator=torch.Generator().manual_seed(0)) * 3
    assert torch.equal(next_distribution(logits, top_p=1.0), next_distribution(logits))
    assert (next_distribution(logits, top_k=4_999, top_p=1.0) > 0).sum(1).eq(4_999).all()


def test_the_largest_top_k_keeps_all():
    torch.testing.assert_close(next_distribution(LOGITS, top_k=2**63 - 1), next_distribution(LOGITS))


def test_draws_follow_the_distribution_and_never_leave_it():
    distribution = torch.tensor([[0.0, 0.25, 0.0, 0.5, 0.25, 0.0]])
    numbers = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-24])
    assert draw(distribution.expand(6, -1), numbers).tolist() == [1, 1, 3, 3, 4, 4]
    drawn = draw(distribution.expand(20_000, -1), uniform(0, range(20_000), 1)[:, 0]).bincount(minlength=6) / 20_000
    torch.testing.assert_close(drawn, distribution[0], rtol=0, atol=4 * (0.25 / 20_000) ** 0.5)


def test_each_row_has_numbers_of_its_own():
    whole = uniform(3, range(6), 8)
    assert whole.shape == (6, 8)
    assert whole.unique().numel() == 48
    assert torch.equal(uniform(3, [4], 3), whole[4:5, :3])
    assert not torch.isin(uniform(4, range(6), 8), whole).any()
