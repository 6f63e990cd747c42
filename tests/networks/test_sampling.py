import math

import pytest
import torch

from networks.sampling import check, next_distribution

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
    [((-1.0, None, None), "temperature=-1.0"), ((1.0, 0, None), "top_k=0"), ((1.0, None, 0.0), "top_p=0.0")],
)
def test_what_is_out_of_range_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        check(*arguments)
    check(0.0, 1, math.nextafter(0, 1))
