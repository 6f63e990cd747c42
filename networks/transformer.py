"""Transformers in three shapes from one block: encoder, decoder, and encoder-decoder.

Vaswani et al. 2017, "Attention Is All You Need", with the pre-norm residual blocks, GELU and initialisation of GPT-2
(Radford et al. 2019). The weights of the token embedding are also those of the logits.

Masks of tokens are (B, T) or (B, S), True = token, False = padding. Padding is never attended and does not count in
positions, so what a row gives does not depend on it; what comes out at padding itself means nothing.

B batch, S source tokens, T tokens, L tokens that are attended, C channels (width), H heads, D = C / H, V vocabulary.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limits import number, whole
from networks.attention import CrossAttention, SelfAttention, Sight
from networks.kv_cache import KVCache
from networks.positions import NoPositions, check_heads


class Memory(NamedTuple):
    """What a decoder remembers of a source while it writes."""

    keys_values: list[Tensor]  # of each layer, (2, B, H, S, D)
    mask: Tensor | None = None  # (B, 1, 1, S)

    def rows(self, rows: Tensor) -> "Memory":
        """Row b of the result is row rows[b] of this."""
        return Memory([kv[:, rows] for kv in self.keys_values], None if self.mask is None else self.mask[rows])


class Block(nn.Module):
    """Pre-norm residual block: self-attention, cross-attention where there is a memory, and a GELU layer of 4 C."""

    def __init__(self, width: int, heads: int, cross: bool = False, dropout: float = 0.0):
        super().__init__()
        check_heads(width, heads)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        if cross:
            self.cross_norm = nn.LayerNorm(width)
            self.cross_attention = CrossAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = _dropout(dropout)

    def forward(
        self,
        x: Tensor,
        sight: Sight,
        cache: KVCache | None = None,
        layer: int = 0,
        keys_values: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> Tensor:  # (B, T, C) -> (B, T, C)
        x = x + self.dropout(self.attention(self.attention_norm(x), sight, cache, layer))
        if keys_values is not None:
            x = x + self.dropout(self.cross_attention(self.cross_norm(x), keys_values, memory_mask))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


def _dropout(dropout: float) -> nn.Module:
    number("[0, 1)", dropout=dropout)
    return nn.Dropout(dropout) if dropout else nn.Identity()


class _Stack(nn.Module):
    """Embedding, positions, blocks, norm, and logits: what encoder and decoder share."""

    def __init__(
        self,
        vocab_size: int,
        width: int,
        depth: int,
        heads: int,
        positions: NoPositions,
        dropout: float = 0.0,
        cross: bool = False,
    ):
        super().__init__()
        check_heads(width, heads)
        whole(vocab_size=vocab_size, depth=depth)
        self.embedding = nn.Embedding(vocab_size, width)
        self.positions = positions
        self.dropout = _dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, cross, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self._initialise()

    def _initialise(self) -> None:
        """GPT-2's: 0.02 everywhere, less where blocks add to the residual stream, lest it grow with the depth."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        residual = [w for name, w in self.named_parameters() if name.endswith(("attention.out.weight", "mlp.2.weight"))]
        for weight in residual:
            nn.init.normal_(weight, std=0.02 / len(residual) ** 0.5)

    def logits(self, features: Tensor) -> Tensor:
        """(..., C) -> (..., V)"""
        return F.linear(features, self.embedding.weight)

    def _check_length(self, tokens: Tensor, mask: Tensor | None) -> None:
        """Raises ValueError where a row of tokens (B, T) is too long; padding does not count."""
        length = tokens.shape[1]
        if length > self.positions.max_length and mask is not None and len(mask):
            length = int(mask.sum(1).max())
        if length > self.positions.max_length:
            raise ValueError(
                f"a sequence of {length} tokens is too long: this network has max_length={self.positions.max_length}; "
                "shorten it, or train with a larger max_length"
            )

    def _sight(self, at: Tensor, keys_at: Tensor, mask: Tensor | None, causal: bool = False) -> Sight:
        """Sight of the tokens at positions `at`, (T,) or (B, T), on those at `keys_at`, (L,) or (B, L)."""
        bias = self.positions.bias(at, keys_at)
        if bias is not None:
            bias = bias.to(self.embedding.weight.dtype)
            if bias.ndim == 3:
                bias = bias[None]
            if causal:
                mask, causal = causal_mask(at.shape[-1], keys_at.shape[-1], at.device), False
            mask = bias if mask is None else bias.masked_fill(~mask, -torch.inf)
        return Sight(mask, causal, self.positions.rotation(at))


class Encoder(_Stack):
    """Every token attends every token of its sequence: tokens (B, T) -> logits (B, T, V).

    Args:
        vocab_size: V.
        width, depth, heads: C, number of blocks, H.
        positions: one of `networks.positions`, for this encoder alone.
        dropout: probability that a channel is dropped of what a block adds to the residual stream, in training.
    """

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.logits(self.features(tokens, mask))

    def features(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """What the logits are read from: (B, T) -> (B, T, C)."""
        self._check_length(tokens, mask)
        at = token_positions(tokens, mask)
        sight = self._sight(at, at, None if mask is None else mask[:, None, None])
        x = self.dropout(self.positions.embed(self.embedding(tokens), at))
        for block in self.blocks:
            x = block(x, sight)
        return self.norm(x)


class Decoder(_Stack):
    """Every token attends itself, those before it, and a memory if there is one: tokens (B, T) -> logits (B, T, V).

    With a `KVCache`, tokens go on from those that the cache has read, as one piece or several, and give the same
    logits as all of them at once.

    Args:
        vocab_size, width, depth, heads, positions, dropout: as of `Encoder`.
        cross: whether it attends a memory (`read`).
        restart: id of a token at which positions count from 0 again, such as a mark between question and answer: what
            stands at the same place in both then has the same position.
    """

    def __init__(self, *args, restart: int | None = None, **options):
        super().__init__(*args, **options)
        self.restart = restart

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        memory: Memory | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        return self.logits(self.features(tokens, mask, memory, cache))

    def features(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        memory: Memory | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """What the logits are read from: (B, T) -> (B, T, C)."""
        at, sight = self._look(tokens, mask, cache)
        x = self.dropout(self.positions.embed(self.embedding(tokens), at))
        for layer, block in enumerate(self.blocks):
            if memory is None:
                x = block(x, sight, cache, layer)
            else:
                x = block(x, sight, cache, layer, memory.keys_values[layer], memory.mask)
        return self.norm(x)

    def read(self, features: Tensor, mask: Tensor | None = None) -> Memory:
        """A source's features (B, S, C) as memory, of which padding is never attended."""
        keys_values = [block.cross_attention.read(features) for block in self.blocks]
        return Memory(keys_values, None if mask is None else mask[:, None, None])

    def cache(self, capacity: int) -> KVCache:
        """An empty cache for at most `capacity` tokens."""
        return KVCache(capacity, len(self.blocks))

    def _look(self, tokens: Tensor, mask: Tensor | None, cache: KVCache | None) -> tuple[Tensor, Sight]:
        """Positions of the new tokens, (T,) or (B, T), and what they may attend."""
        new = tokens.shape[1]
        if cache is not None:
            cache.advance(tokens, mask)
            tokens, mask = cache.tokens, cache.mask
        length = tokens.shape[1]
        self._check_length(tokens, mask)
        keys_at = token_positions(tokens, mask, self.restart)
        at = keys_at[..., length - new :]
        if mask is not None:
            return at, self._sight(at, keys_at, causal_mask(new, length, tokens.device) & mask[:, None, None])
        if new == 1:  # the last token may attend all
            return at, self._sight(at, keys_at, None)
        if new == length:
            return at, self._sight(at, keys_at, None, causal=True)
        return at, self._sight(at, keys_at, causal_mask(new, length, tokens.device))


class EncoderDecoder(nn.Module):
    """An encoder reads the source, a decoder writes the target: (B, S) and (B, T) -> logits (B, T, V)."""

    def __init__(self, encoder: Encoder, decoder: Decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Memory:
        """The source (B, S) as the decoder's memory, made once for all tokens that are written."""
        return self.decoder.read(self.encoder.features(source, source_mask), source_mask)

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
    ) -> Tensor:
        return self.logits(self.features(source, target, source_mask, target_mask))

    def features(
        self,
        source: Tensor,
        target: Tensor,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
    ) -> Tensor:
        """What the logits are read from: (B, S) and (B, T) -> (B, T, C)."""
        return self.decoder.features(target, target_mask, self.encode(source, source_mask))

    def logits(self, features: Tensor) -> Tensor:
        """(..., C) -> (..., V)"""
        return self.decoder.logits(features)


def causal_mask(new: int, length: int, device: torch.device | None = None) -> Tensor:
    """(T, L), True where one of the last T tokens may attend: itself, and those before it."""
    whole(0, new=new)
    whole(new, length=length)
    places = torch.arange(length, device=device)
    return places <= places[length - new :, None]


def token_positions(tokens: Tensor, mask: Tensor | None = None, restart: int | None = None) -> Tensor:
    """Position of each token in its row, (T,) where all rows have the same, otherwise (B, T). Padding does not count.

    With `restart`, the first token with this id is at position 0 again, and those after it count from there.
    """
    if mask is None and restart is None:
        return torch.arange(tokens.shape[1], device=tokens.device)
    counted = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
    at = (counted.long().cumsum(1) - 1).clamp(min=0)
    if restart is None:
        return at
    after = ((tokens == restart) & counted).cumsum(1) > 0  # (B, T)
    before = (counted & ~after).sum(1, keepdim=True)  # (B, 1), tokens before the restart
    return torch.where(after, at - before, at)
