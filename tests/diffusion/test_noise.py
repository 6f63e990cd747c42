import pytest
import torch

from diffusion.noise import generators, randint, randn


def test_a_samples_noise_is_its_own():
    """The same in every batch, in every order, and after other samples have drawn as often as they like."""
    whole = randn((5, 3, 4), generators(7, range(5)))
    assert torch.equal(randn((2, 3, 4), generators(7, [3, 1])), whole[[3, 1]])
    own, other = generators(7, [2, 4])
    randn((1, 1000), [other])
    assert torch.equal(randn((1, 3, 4), [own]), whole[2:3])
    assert not torch.equal(randn((1, 3, 4), [own]), whole[2:3])  # a generator goes on


def test_noise_is_as_random_across_samples_as_within_them():
    """Independent standard normals over 20,000 samples whose numbers lie side by side: five standard errors."""
    x = randn((20_000, 8), generators(0, range(20_000))).double()
    error = 20_000**-0.5
    assert x.mean(0).abs().max() < 5 * error
    assert (x.var(0) - 1).abs().max() < 5 * 2**0.5 * error
    assert (torch.corrcoef(x.T) - torch.eye(8)).abs().max() < 5 * error
    assert (x[1:] * x[:-1]).mean(0).abs().max() < 5 * error
    assert x.flatten().unique().numel() > 0.98 * x.numel()  # no sample has another one's (float32 has ties)


def test_other_seeds_are_other_noise():
    draws = [randn((3, 50), generators(seed, range(3))) for seed in (0, 1, (0, 1), (1, 0), 2**63)]
    rows = torch.cat(draws)
    assert torch.cdist(rows, rows).add(torch.eye(15) * 9).min() > 5  # independent ones are 10 apart


def test_whole_numbers_are_even():
    t = randint(10, (4000, 2), generators(3, range(4000)))
    assert t.min() == 0
    assert (torch.bincount(t.flatten()) - 800).abs().max() < 5 * 800**0.5
    assert torch.equal(randint(10, (1, 2), generators(3, [17])), t[17:18])


def test_one_generator_or_none_is_torchs_own():
    expected = torch.randn(3, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    assert torch.equal(randn((3, 2), torch.Generator().manual_seed(5), dtype=torch.float64), expected)
    torch.manual_seed(5)
    assert torch.equal(randn((3, 2), dtype=torch.float64), expected)


def test_a_list_of_generators_is_that_of_diffusers():
    torch_utils = pytest.importorskip("diffusers.utils.torch_utils")
    theirs = torch_utils.randn_tensor((4, 2, 3), generators(1, range(4)))
    assert torch.equal(randn((4, 2, 3), generators(1, range(4))), theirs)


def test_no_samples_are_no_noise():
    assert randn((0, 3), generators(0, [])).shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: generators(-1, [0]), "seed=-1 must be"),
        (lambda: generators((0, -2), [0]), r"seed=\(0, -2\) must be"),
        (lambda: generators(0, [-1]), "numbered from -1"),
        (lambda: generators(0, [2**32]), "numbered from 4294967296"),
        (lambda: randn((3, 2), generators(0, [0, 1])), "2 generators for 3 samples"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
