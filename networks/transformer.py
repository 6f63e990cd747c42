"""Transformers in three shapes from one block: encoder, decoder, and encoder-decoder.

Vaswani et al. 2017, "Attention Is All You Need", with the pre-norm residual blocks, GELU and initialisation of GPT-2
(Radford et al. 2019). The token embedding and the logits share their weights.

Masks of tokens are (B, T) or (B, S), True = token, False = padding. Padding is never attended to and does not count in
positions, so a row's output does not depend on it; the output at padding itself is meaningless.

B batch, S source tokens, T tokens, L tokens attended to, C channels (width), H heads, D = C / H, V vocabulary.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limits import number, whole
from networks.attention import AttentionContext, CrossAttention, SelfAttention
from networks.kv_cache import KVCache
from networks.positions import PositionsFactory, SinusoidalPositions, check_heads
from networks.vocabulary import SEP


class Memory(NamedTuple):
    """A source as a decoder attends to it: its keys and values, projected once for all tokens of the target."""

    keys_values: list[Tensor]  # of each layer, (2, B, H, S, D)
    mask: Tensor | None = None  # (B, 1, 1, S)

    def reorder(self, rows: Tensor) -> "Memory":
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
        context: AttentionContext,
        cache: KVCache | None = None,
        layer: int = 0,
        keys_values: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> Tensor:  # (B, T, C) -> (B, T, C)
        x = x + self.dropout(self.attention(self.attention_norm(x), context, cache, layer))
        if keys_values is not None:
            x = x + self.dropout(self.cross_attention(self.cross_norm(x), keys_values, memory_mask))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


def _dropout(dropout: float) -> nn.Module:
    number("[0, 1)", dropout=dropout)
    return nn.Dropout(dropout) if dropout else nn.Identity()


class _Stack(nn.Module):
    """Embedding, positions, blocks, norm, and logits: what encoder and decoder share; arguments as theirs."""

    def __init__(
        self,
        vocab_size: int,
        width: int,
        depth: int,
        heads: int,
        max_length: int,
        dropout: float,
        positions: PositionsFactory,
        cross: bool = False,
    ):
        super().__init__()
        check_heads(width, heads)
        whole(vocab_size=vocab_size, depth=depth, max_length=max_length)
        self.vocab_size, self.max_length = vocab_size, max_length
        made = positions(width, heads, max_length)  # before the embedding, so that a seed keeps its weights
        self.embedding = nn.Embedding(vocab_size, width)
        self.positions = made
        self.dropout = _dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, cross, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self._initialise()

    def _initialise(self) -> None:
        """As GPT-2: std 0.02, less where blocks add to the residual stream, so that it does not grow with the depth."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        residual = [w for name, w in self.named_parameters() if name.endswith(("attention.out.weight", "mlp.2.weight"))]
        for weight in residual:
            nn.init.normal_(weight, std=0.02 / len(residual) ** 0.5)

    def logits(self, features: Tensor) -> Tensor:
        """(..., C) -> (..., V)."""
        return F.linear(features, self.embedding.weight)

    def _check_length(self, tokens: Tensor, mask: Tensor | None) -> None:
        """Raises ValueError where a row of tokens (B, T) is too long; padding does not count."""
        length = tokens.shape[1]
        if length > self.max_length and mask is not None and len(mask):
            length = int(mask.sum(1).max())
        if length > self.max_length:
            raise ValueError(
                f"a sequence of {length} tokens is too long: this network has max_length={self.max_length}; "
                "shorten it, or train with a larger max_length"
            )

    def _context(self, at: Tensor, keys_at: Tensor, mask: Tensor | None, causal: bool = False) -> AttentionContext:
        """How tokens at positions `at`, (T,) or (B, T), attend to those at `keys_at`, (L,) or (B, L)."""
        scale = self.positions.query_scale(at, keys_at, mask, causal)
        bias = self.positions.bias(at, keys_at)
        if bias is not None:
            bias = bias.to(self.embedding.weight.dtype)
            if bias.ndim == 3:
                bias = bias[None]
            if causal:
                mask, causal = causal_mask(at.shape[-1], keys_at.shape[-1], at.device), False
            mask = bias if mask is None else bias.masked_fill(~mask, -torch.inf)
        return AttentionContext(mask, causal, self.positions.rotation(at), scale)


class Encoder(_Stack):
    """Every token attends to every token of its sequence: tokens (B, T) -> logits (B, T, V).

    Args:
        vocab_size: V.
        width: C.
        depth: number of blocks.
        heads: H, which divides the width.
        max_length: most tokens of a sequence; padding does not count.
        dropout: probability, in training, that a channel of what a block adds to the residual stream is dropped.
        positions: makes the positions from width, heads and max_length; a class of `networks.positions`.
    """

    def __init__(
        self,
        vocab_size: int,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        max_length: int = 256,
        dropout: float = 0.0,
        positions: PositionsFactory = SinusoidalPositions,
    ):
        super().__init__(vocab_size, width, depth, heads, max_length, dropout, positions)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.logits(self.features(tokens, mask))

    def features(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """What the logits are read from: (B, T) -> (B, T, C)."""
        self._check_length(tokens, mask)
        at = token_positions(tokens, mask)
        context = self._context(at, at, None if mask is None else mask[:, None, None])
        x = self.dropout(self.positions.embed(self.embedding(tokens), at))
        for block in self.blocks:
            x = block(x, context)
        return self.norm(x)


class Decoder(_Stack):
    """Every token attends to itself, those before it, and a memory if there is one: tokens (B, T) -> logits (B, T, V).

    With a `KVCache`, tokens go on from those that the cache has read, as one piece or several, and give the same
    logits as all of them at once.

    Args:
        vocab_size, width, depth, heads, max_length, dropout, positions: as for `Encoder`.
        cross: whether it attends to a memory (`project_keys_values`).
        restart: id of a token at which positions count from 0 again; None: they never do.
    """

    def __init__(
        self,
        vocab_size: int,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        max_length: int = 256,
        dropout: float = 0.0,
        positions: PositionsFactory = SinusoidalPositions,
        cross: bool = False,
        restart: int | None = None,
    ):
        super().__init__(vocab_size, width, depth, heads, max_length, dropout, positions, cross)
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
        at, context = self._places(tokens, mask, cache)
        x = self.dropout(self.positions.embed(self.embedding(tokens), at))
        for layer, block in enumerate(self.blocks):
            if memory is None:
                x = block(x, context, cache, layer)
            else:
                x = block(x, context, cache, layer, memory.keys_values[layer], memory.mask)
        return self.norm(x)

    def project_keys_values(self, features: Tensor, mask: Tensor | None = None) -> Memory:
        """A source's features (B, S, C) as memory, whose padding is never attended to."""
        keys_values = [cast(Block, block).cross_attention.project_keys_values(features) for block in self.blocks]
        return Memory(keys_values, None if mask is None else mask[:, None, None])

    def cache(self, capacity: int) -> KVCache:
        """An empty cache for at most `capacity` tokens."""
        return KVCache(capacity, len(self.blocks))

    def _places(self, tokens: Tensor, mask: Tensor | None, cache: KVCache | None) -> tuple[Tensor, AttentionContext]:
        """Positions of the new tokens, (T,) or (B, T), and what they may attend to."""
        new = tokens.shape[1]
        if cache is not None:
            cache.advance(tokens, mask)
            tokens, mask = cache.tokens, cache.mask
        length = tokens.shape[1]
        self._check_length(tokens, mask)
        keys_at = token_positions(tokens, mask, self.restart)
        at = keys_at[..., length - new :]
        if mask is not None:
            return at, self._context(at, keys_at, causal_mask(new, length, tokens.device) & mask[:, None, None])
        if new == 1:  # the last token may attend to all
            return at, self._context(at, keys_at, None)
        if new == length:
            return at, self._context(at, keys_at, None, causal=True)
        return at, self._context(at, keys_at, causal_mask(new, length, tokens.device))


class AnswerDecoder(Decoder):
    """A decoder of texts "question SEP answer" whose positions count from 0 again at SEP.

    Tokens at the same place in question and answer then have the same position.

    Args:
        vocab_size, width, depth, heads, max_length, dropout, positions: as for `Encoder`.
    """

    def __init__(
        self,
        vocab_size: int,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        max_length: int = 256,
        dropout: float = 0.0,
        positions: PositionsFactory = SinusoidalPositions,
    ):
        super().__init__(vocab_size, width, depth, heads, max_length, dropout, positions, restart=SEP)


class EncoderDecoder(nn.Module):
    """An encoder reads the source, a decoder writes the target: (B, S) and (B, T) -> logits (B, T, V).

    Args:
        vocab_size, width, heads, dropout, positions: as for `Encoder`, of both.
        depth: number of blocks of each.
        max_length: most tokens of the source, and of the target.
    """

    def __init__(
        self,
        vocab_size: int,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        max_length: int = 256,
        dropout: float = 0.0,
        positions: PositionsFactory = SinusoidalPositions,
    ):
        super().__init__()
        size = (vocab_size, width, depth, heads, max_length, dropout, positions)
        self.encoder, self.decoder = Encoder(*size), Decoder(*size, cross=True)
        self.vocab_size, self.max_length = vocab_size, max_length

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Memory:
        """The source (B, S) as the decoder's memory, made once for all tokens that are written."""
        return self.decoder.project_keys_values(self.encoder.features(source, source_mask), source_mask)

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
        """(..., C) -> (..., V)."""
        return self.decoder.logits(features)


def causal_mask(new: int, length: int, device: torch.device | None = None) -> Tensor:
    """(T, L), True where one of the last T tokens may attend: to itself and those before it."""
    if not torch.compiler.is_exporting():  # where lengths are symbols
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
