import math

import pytest
import torch

from networks.positions import (
    ALiBi,
    LearnedPositions,
    NoPositions,
    Positions,
    RotaryPositions,
    ScalableSoftmax,
    SinusoidalPositions,
    rotate,
)
from networks.transformer import Decoder, Encoder

POSITIONS = {
    "none": NoPositions,
    "sinusoidal": SinusoidalPositions,
    "learned": LearnedPositions,
    "rotary": RotaryPositions,
    "alibi": ALiBi,
    "scalable softmax": ScalableSoftmax,
}


def test_these_are_all_kinds():
    assert set(POSITIONS.values()) == set(Positions.__subclasses__())


def test_sinusoidal_is_the_papers_formula():
    positions = SinusoidalPositions(8, 2, 50)
    x = torch.zeros(1, 50, 8)
    told = positions.embed(x, torch.arange(50))[0]
    for place in (0, 1, 7, 49):
        for i in range(4):
            angle = place / 10_000 ** (2 * i / 8)
            assert told[place, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert told[place, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)
    assert torch.allclose(positions.embed(x + 1, torch.arange(50)) - told, torch.full((1, 50, 8), 8**0.5))


def test_rotary_turns_pairs_as_complex_numbers():
    torch.manual_seed(0)
    positions = RotaryPositions(16, 2, 100).double()
    x = torch.randn(3, 2, 5, 8, dtype=torch.float64)
    at = torch.tensor([0, 3, 4, 50, 99])
    turned = rotate(x, positions.rotation(at))
    for j, place in enumerate(at.tolist()):
        for i in range(4):
            angle = place * 10_000 ** (-2 * i / 8)
            expected = torch.complex(x[..., j, i], x[..., j, i + 4]) * complex(math.cos(angle), math.sin(angle))
            torch.testing.assert_close(turned[..., j, i], expected.real, rtol=0, atol=1e-6)
            torch.testing.assert_close(turned[..., j, i + 4], expected.imag, rtol=0, atol=1e-6)


def test_rotary_scores_depend_on_the_distance_alone():
    torch.manual_seed(0)
    positions = RotaryPositions(16, 1, 200)
    q, k = torch.randn(1, 16), torch.randn(1, 16)

    def score(i, j):
        return (
            rotate(q, positions.rotation(torch.tensor([i]))) @ rotate(k, positions.rotation(torch.tensor([j]))).T
        ).item()

    assert score(10, 3) == pytest.approx(score(150, 143), abs=1e-4)
    assert score(10, 3) != pytest.approx(score(10, 4), abs=1e-2)


def test_biases_fall_with_the_distance_by_the_papers_slopes():
    bias = ALiBi(64, 8, 10).bias(torch.tensor([4]), torch.arange(6))  # (8, 1, 6)
    slopes = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
    expected = torch.tensor([[[-s * abs(4 - j) for j in range(6)]] for s in slopes])
    torch.testing.assert_close(bias, expected)


@pytest.mark.parametrize(
    ("kind", "words"), [(SinusoidalPositions, "width=9"), (RotaryPositions, "heads=3 must be even")]
)
def test_odd_widths_are_named(kind, words):
    with pytest.raises(ValueError, match=words):
        kind(9, 3, 10)


@pytest.mark.parametrize("kind", POSITIONS.values())
@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0, 1, 8), "width=0"),
        ((8, 0, 8), "heads=0"),
        ((8, -1, 8), "heads=-1"),
        ((-8, 1, 8), "width=-8"),
        ((8, 3, 8), "width=8 is not divisible by heads=3"),
        ((8, 10**30, 8), "heads=10+"),
        ((8, 2, 0), "max_length=0"),
        ((8, 2, -1), "max_length=-1"),
    ],
)
def test_sizes_at_their_edges_are_named(kind, numbers, words):
    with pytest.raises(ValueError, match=words):
        kind(*numbers)
    kind(2, 1, 1)


@pytest.mark.parametrize("padded", [False, True])
def test_scalable_softmax_is_the_papers_formula(padded):
    """A softmax to the base of the number n of tokens attended to, n ** z / sum(n ** z)."""
    torch.manual_seed(0)
    network = Decoder(20, 16, 1, 2, 100, positions=ScalableSoftmax).double()
    tokens, mask = torch.randint(4, 20, (1, 9)), torch.ones(1, 9, dtype=torch.bool)
    if padded:
        mask[:, :3] = False
    attention = network.blocks[0].attention
    x = torch.randn(1, 9, 16, dtype=torch.float64)
    q, k, v = attention.qkv(x).view(9, 3, 2, 8).permute(1, 2, 0, 3)  # (H, T, D) each
    expected = torch.zeros(9, 16, dtype=torch.float64)
    for place in range(9):
        seen = [other for other in range(place + 1) if mask[0, other]]
        for head in range(2):
            z = torch.stack([q[head, place] @ k[head, other] for other in seen]) / 8**0.5 / math.log(64) if seen else 0
            powers = float(len(seen)) ** z
            for other, power in zip(seen, powers, strict=True) if seen else ():
                expected[place, 8 * head : 8 * head + 8] += power / powers.sum() * v[head, other]
    _, context = network._places(tokens, mask if padded else None, None)
    given = attention(x, context)[0]
    torch.testing.assert_close(given[mask[0]], attention.out(expected)[mask[0]], rtol=0, atol=1e-12)


def test_scalable_softmax_counts_what_an_encoder_sees():
    torch.manual_seed(0)
    network = Encoder(20, 16, 2, 2, 100, positions=ScalableSoftmax).double()
    tokens = torch.randint(4, 20, (1, 7))
    padded = torch.cat([tokens, torch.zeros_like(tokens)], 1)
    together = network(padded, padded != 0)[:, :7]
    torch.testing.assert_close(together, network(tokens), rtol=0, atol=1e-12)
