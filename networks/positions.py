"""Positions of tokens in a sequence, given to a transformer in one of six ways.

Each way acts on one of three things and leaves the others alone: the embeddings (sinusoidal, learned), queries and keys
(rotary), or the scores of attention (ALiBi, scalable softmax). The sixth gives none.

B batch, T time (tokens), L tokens that are attended to, C channels, H heads, D head dim.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from limits import whole


class Positions(nn.Module):
    """The positions of one network; a subclass overrides the method for what it acts on.

    Args, of every kind:
        width: C.
        heads: H, which divides the width.
        max_length: most tokens that a sequence may have.
    """

    def __init__(self, width: int, heads: int, max_length: int):
        super().__init__()
        check_heads(width, heads)
        whole(max_length=max_length)
        self.max_length = max_length

    def embed(self, x: Tensor, at: Tensor) -> Tensor:
        """Embeddings (B, T, C) of tokens at positions (T,) or (B, T), with the positions added."""
        return x

    def rotation(self, at: Tensor) -> Tensor | None:
        """Cosines and sines (2, T, D/2) or (2, B, 1, T, D/2) that `rotate` turns queries and keys by."""
        return None

    def bias(self, queries_at: Tensor, keys_at: Tensor) -> Tensor | None:
        """What is added to the scores of attention: positions (..., T) and (..., L) -> (..., H, T, L)."""
        return None

    def query_scale(self, queries_at: Tensor, keys_at: Tensor, mask: Tensor | None, causal: bool) -> Tensor | None:
        """What queries are multiplied by: (T, 1), (1, 1) where it is the same for all, or (B, 1, T, 1).

        Args:
            queries_at, keys_at: positions (..., T) and (..., L); the queries are those of the last T keys.
            mask: which keys are attended to, (B, 1, T or 1, L).
            causal: without a mask, whether keys behind the query are not.
        """
        return None


PositionsFactory = Callable[[int, int, int], Positions]
"""Width, heads and max_length -> positions; any class of this file is one."""


class NoPositions(Positions):
    """No positions: an encoder then does not see the order of its tokens, a decoder sees it by its causal mask."""


class ScalableSoftmax(Positions):
    """No positions, and scores multiplied by the logarithm of the number of tokens attended to.

    Nakanishi 2025, "Scalable-Softmax Is Superior for Attention", Eq. 4: among more tokens usual attention thins out,
    and this does not. Scores are as usual at 64 tokens; their general scale is learned by the projections of queries.
    It acts on self-attention; attention to a memory stays as it is.
    """

    USUAL = 64

    def query_scale(self, queries_at: Tensor, keys_at: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        new, length = queries_at.shape[-1], keys_at.shape[-1]
        if mask is None:
            first = length - new + 1 if causal else length
            attended = torch.arange(first, length + 1, device=keys_at.device)[:, None]
        else:
            attended = mask.sum(-1, keepdim=True).clamp(min=1)  # rows of padding attend to none
        return attended.float().log() / math.log(self.USUAL)


class SinusoidalPositions(Positions):
    """Vaswani et al. 2017, Sec. 3.4 and 3.5: sines and cosines added to embeddings that are multiplied by sqrt(C)."""

    table: Tensor  # (max_length, C)

    def __init__(self, width: int, heads: int, max_length: int):
        super().__init__(width, heads, max_length)
        if width % 2:
            raise ValueError(f"width={width} must be even: half of sinusoidal positions are sines, half cosines")
        angles = _angles(width, max_length)
        table = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)  # sines at even channels
        self.register_buffer("table", table.float(), persistent=False)
        self.scale = width**0.5

    def embed(self, x: Tensor, at: Tensor) -> Tensor:
        return x * self.scale + self.table[at]


class LearnedPositions(Positions):
    """A learned vector for each position, added to the embeddings (Radford et al. 2019)."""

    def __init__(self, width: int, heads: int, max_length: int):
        super().__init__(width, heads, max_length)
        self.table = nn.Embedding(max_length, width)

    def embed(self, x: Tensor, at: Tensor) -> Tensor:
        return x + self.table(at)


class RotaryPositions(Positions):
    """Su et al. 2021, Eq. 34: queries and keys turn with their position, so scores depend on the distance alone.

    Channel i of a head is paired with channel i + D/2.
    """

    table: Tensor  # (2, max_length, D/2)

    def __init__(self, width: int, heads: int, max_length: int):
        super().__init__(width, heads, max_length)
        if width // heads % 2:
            raise ValueError(f"width={width} / heads={heads} must be even: rotary positions turn pairs of channels")
        angles = _angles(width // heads, max_length)
        table = torch.stack([angles.cos(), angles.sin()])
        self.register_buffer("table", table.float(), persistent=False)

    def rotation(self, at: Tensor) -> Tensor:
        rotation = self.table[:, at]
        return rotation if at.ndim == 1 else rotation[:, :, None]


class ALiBi(Positions):
    """Press et al. 2022, attention with linear biases: each head lowers the scores in proportion to the distance.

    Head h of 1 to H has the slope 2^(-8 h / H). Distances count in both directions, for encoders.
    """

    slopes: Tensor  # (H, 1, 1)

    def __init__(self, width: int, heads: int, max_length: int):
        super().__init__(width, heads, max_length)
        slopes = 2.0 ** (-8 * torch.arange(1, heads + 1) / heads)
        self.register_buffer("slopes", slopes[:, None, None], persistent=False)

    def bias(self, queries_at: Tensor, keys_at: Tensor) -> Tensor:
        distance = (queries_at[..., :, None] - keys_at[..., None, :]).abs()  # (..., T, L)
        return -self.slopes * distance[..., None, :, :]


def check_heads(width: int, heads: int) -> None:
    """Raises ValueError where a width cannot be split into so many heads."""
    whole(width=width, heads=heads)
    if width % heads:
        raise ValueError(f"width={width} is not divisible by heads={heads}")


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn the channel pairs of queries or keys: (..., T, D) by `RotaryPositions.rotation` -> (..., T, D)."""
    cosines, sines = rotation
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], -1)


def _angles(width: int, max_length: int) -> Tensor:
    """Position times frequency, (max_length, width/2) in float64: wavelengths from 2 pi to 10,000 * 2 pi."""
    frequencies = 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    return torch.arange(max_length, dtype=torch.float64)[:, None] * frequencies
