"""Stage 3: attention, positions, and how text is generated."""

import math
from typing import Any

import torch
import torch.nn.functional as F

from decoding import beam_search, sampling
from exercises.exercise import Stage
from exercises.grading import Wrong, same
from networks import attention, positions, transformer
from networks.kv_cache import KVCache

STAGE = Stage("Transformer: text")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal numbers, the same in every run."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@STAGE.exercise(attention.ScaledDotProductAttention.forward, level=2)
def dot_product_attention(answer: Any) -> None:
    """Attention.

    softmax(q k^T / sqrt(D)) v for q (B, H, T, D), k and v (B, H, L, D). Where `mask` is False a token may not attend:
    its score is -inf. A mask of floats is added to the scores. With `causal`, token t attends to tokens 0..t only.
    Write it with products and a softmax, not with torch's own attention.
    """
    attend = answer.ScaledDotProductAttention()
    q, k, v = (normal(2, 3, length, 4, seed=length) for length in (5, 7, 8))
    v = v[:, :, :7]
    same("without a mask", attend(q, k, v), F.scaled_dot_product_attention(q, k, v))
    mask = normal(2, 1, 5, 7) > -0.5
    mask[..., 0] = True
    same("with a mask", attend(q, k, v, mask), F.scaled_dot_product_attention(q, k, v, mask))
    bias = normal(3, 5, 7)
    same("with a mask of floats", attend(q, k, v, bias), F.scaled_dot_product_attention(q, k, v, bias))
    expected = F.scaled_dot_product_attention(q, q, q, is_causal=True)
    same("causal", attend(q, q, q, None, True), expected)


@STAGE.exercise(transformer.causal_mask, level=1)
def causal_mask(answer: Any) -> None:
    """Which tokens a token may attend to.

    (T, L), True where one of the last T of L tokens may attend: to itself and those before it. With T = L it is the
    lower triangle; with T = 1, the step of a decoder with a cache, all are True.
    """
    for new, length in ((4, 4), (1, 5), (2, 5)):
        expected = torch.ones(length, length, dtype=torch.bool).tril()[length - new :]
        same(f"mask of the last {new} of {length} tokens", answer.causal_mask(new, length), expected)


@STAGE.exercise(positions._angles, level=1)
def sinusoidal_positions(answer: Any) -> None:
    """The angles of sinusoidal positions.

    PE(p, 2i) = sin(p / 10000^(2i/C)),  PE(p, 2i+1) = cos(p / 10000^(2i/C)). Return the angles, a tensor
    (max_length, C/2) in float64: positions down, pairs of channels across.
    """
    angles = [[p / 10000 ** (2 * i / 6) for i in range(3)] for p in range(9)]
    same("angles, (position, pair of channels)", answer._angles(6, 9), torch.tensor(angles))
    table = answer.SinusoidalPositions(6, 2, 9).embed(torch.zeros(1, 9, 6), torch.arange(9))[0]
    expected = [[(math.sin, math.cos)[c % 2](p / 10000 ** (2 * (c // 2) / 6)) for c in range(6)] for p in range(9)]
    same("positions added to embeddings, (position, channel)", table, torch.tensor(expected))


@STAGE.exercise(positions.rotate, level=2)
def rotary_positions(answer: Any) -> None:
    """Queries and keys turn with their position.

    `rotation` holds cosines and sines (2, T, D/2). Channel i and channel i + D/2 are a point of the plane (a, b), which
    turns to (a cos - b sin, b cos + a sin). Scores then depend on the distance of two tokens alone.
    """
    rotary = answer.RotaryPositions(4, 1, 50)
    x = normal(1, 1, 1, 4)
    at = rotary.rotation(torch.tensor([3]))
    pair = torch.complex(x[..., :2], x[..., 2:]) * torch.polar(torch.ones(2), 3 * torch.tensor([1.0, 0.01]))
    same("channels at position 3", answer.rotate(x, at), torch.cat([pair.real, pair.imag], -1))
    q, k = normal(1, 1, 1, 4, seed=1), normal(1, 1, 1, 4, seed=2)
    scores = [
        (
            answer.rotate(q, rotary.rotation(torch.tensor([p + 5])))
            * answer.rotate(k, rotary.rotation(torch.tensor([p])))
        )
        .sum()
        .item()
        for p in (0, 40)
    ]
    same("score of two tokens 5 apart, at 0 and at 40", scores[1], scores[0])


@STAGE.exercise(positions.ALiBi.bias, level=1)
def alibi(answer: Any) -> None:
    """Attention with linear biases.

    Head h lowers the score of two tokens by its slope times their distance: -slope_h |i - j|, (H, T, L).
    `self.slopes` is (H, 1, 1). Positions may have leading axes: (..., T) and (..., L) give (..., H, T, L).
    """
    bias = answer.ALiBi(4, 2, 10).bias(torch.arange(3), torch.arange(4))
    expected = [[[-slope * abs(i - j) for j in range(4)] for i in range(3)] for slope in (2**-4, 2**-8)]
    same("bias of 2 heads, 3 queries, 4 keys", bias, torch.tensor(expected))
    batched = answer.ALiBi(4, 2, 10).bias(torch.arange(6).reshape(2, 3), torch.arange(8).reshape(2, 4))
    same("shape for a batch of 2", list(getattr(batched, "shape", ())), [2, 2, 3, 4])


@STAGE.exercise(KVCache.append, level=2)
def kv_cache(answer: Any) -> None:
    """One step of a cache of keys and values.

    `self._keys_values[layer]` is None, or the room (2, B, H, capacity, D) for all tokens. Make the room with the first
    tokens (`new_empty`), put the new keys and values into its last T of `self.length` slots, and return those of all
    `self.length` tokens: a view, which copies nothing.
    """
    torch.manual_seed(0)
    decoder = transformer.Decoder(12, 8, 2, 2, 16).eval()
    tokens = torch.randint(4, 12, (2, 6))
    cache = answer.KVCache(capacity=6, layers=2)
    with torch.no_grad():
        expected = decoder(tokens)
        for start, end in ((0, 3), (3, 4), (4, 6)):
            same(
                f"logits of tokens {start} to {end - 1}, read after the others",
                decoder(tokens[:, start:end], cache=cache),
                expected[:, start:end],
            )


@STAGE.exercise(sampling.next_distribution, level=2)
def sampling_next_token(answer: Any) -> None:
    """Temperature, top-k and top-p.

    Divide the logits by the temperature; keep the `top_k` likeliest; of these keep the fewest whose probabilities sum
    to at least `top_p`; scale what is left to sum to 1. Logits (B, V) give probabilities (B, V).
    """
    p = torch.tensor([[0.5, 0.05, 0.15, 0.3], [0.1, 0.2, 0.3, 0.4]])
    cases: dict[str, tuple[dict[str, Any], torch.Tensor]] = {
        "as they are": ({}, p),
        "temperature 0.5": ({"temperature": 0.5}, p**2 / (p**2).sum(1, keepdim=True)),
        "top_k=2": ({"top_k": 2}, torch.tensor([[0.625, 0, 0, 0.375], [0, 0, 3 / 7, 4 / 7]])),
        "top_k=10": ({"top_k": 10}, p),
        "top_p=0.75": ({"top_p": 0.75}, torch.tensor([[0.625, 0, 0, 0.375], [0, 2 / 9, 3 / 9, 4 / 9]])),
        "top_p=0.01": ({"top_p": 0.01}, torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 1]])),
        "top_k=2, then top_p=0.6": (
            {"top_k": 2, "top_p": 0.6},
            torch.tensor([[1.0, 0, 0, 0], [0, 0, 3 / 7, 4 / 7]]),
        ),
    }
    for what, (options, expected) in cases.items():
        same(f"probabilities, {what}", answer.next_distribution(p.log(), **options), expected)


class Script:
    """Stands for a decoder in the middle of one row: the next token's probabilities follow from the tokens so far.

    After tokens that are not listed, the next is token 2.
    """

    def __init__(self, probabilities: dict[tuple[int, ...], list[float]], limit: int):
        self.probabilities, self.token_limit = probabilities, torch.tensor([limit])
        self.rows: list[tuple[int, ...]] = [()]

    def first(self) -> torch.Tensor:
        return torch.tensor([self.probabilities.get(row, [0.0, 0.0, 1.0, 0.0]) for row in self.rows]).log()

    def next(self, tokens: torch.Tensor, ended: torch.Tensor) -> torch.Tensor:
        self.rows = [
            row if over else (*row, token)
            for row, token, over in zip(self.rows, tokens.tolist(), ended.tolist(), strict=True)
        ]
        return self.first()

    def reorder(self, rows: torch.Tensor) -> None:
        self.rows = [self.rows[i] for i in rows.tolist()]


@STAGE.exercise(beam_search.beam_search, level=3)
def beam_search_decoding(answer: Any) -> None:
    """Beam search.

    Keep the K likeliest beginnings of each row. At each step score all their continuations by the sum of log
    probabilities and keep the best K (`topk` over K V numbers); an ended beam goes on with PAD alone, at no cost. Stop
    when all have ended: with `end`, or at `state.token_limit` (B,). Begin with `state.first()`, then
    `state.reorder(rows)`, one row for each beam, and `state.next(tokens, ended)`. Return the best beam (B, N).
    """
    # token 0 is PAD, 2 the end; greedy takes 3 (0.6), then at best 0.6 * 0.4; the likeliest is 1, 3, end: 0.4 * 0.9 * 1
    p = {(): [0.0, 0.4, 0.0, 0.6], (1,): [0.0, 0.05, 0.05, 0.9], (3,): [0.0, 0.3, 0.4, 0.3]}
    none = torch.tensor([], dtype=torch.long)
    for what, beams, limit, suppressed, expected in (
        ("1 beam, which is greedy", 1, 5, none, [3, 2]),
        ("2 beams", 2, 5, none, [1, 3, 2]),
        ("3 beams", 3, 5, none, [1, 3, 2]),
        ("2 beams and at most 2 tokens", 2, 2, none, [1, 3]),
        ("2 beams and token 1 suppressed", 2, 5, torch.tensor([1]), [3, 2, 0]),
    ):
        given = answer.beam_search(Script(p, limit), beams, 2, suppressed)
        if not isinstance(given, torch.Tensor):
            raise Wrong(f"tokens with {what}: expected {expected}, got a {type(given).__name__}")
        if given.tolist() != [expected]:
            raise Wrong(f"tokens with {what}: expected {[expected]}, got {given.tolist()}")
