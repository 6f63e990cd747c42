"""A decoder's next tokens as a function without state: what a `KVCache` keeps goes in and comes out.

B batch, L tokens read before, T new tokens, S source tokens, H heads, D head dim, V vocabulary.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from networks.sequence_network import DecoderNetwork


class Past(NamedTuple):
    """What a decoder has read: L may be 0."""

    tokens: Tensor  # (B, L)
    mask: Tensor  # (B, L), True at tokens
    keys_values: Tensor  # (layers, 2, B, H, L, D)


class PastKeysValues:
    """A cache as `networks.kv_cache.KVCache`, made of tensors that grow in place of room that is filled."""

    def __init__(self, past: Past):
        self.tokens, self.mask = past.tokens, past.mask
        self._before, self._grown = past.keys_values, list[Tensor]()

    def advance(self, tokens: Tensor, mask: Tensor | None = None) -> None:
        """Read tokens (B, T); where the mask (B, T) is False they are padding."""
        mask = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
        self.tokens, self.mask = torch.cat([self.tokens, tokens], 1), torch.cat([self.mask, mask], 1)

    def append(self, layer: int, keys_values: Tensor) -> Tensor:
        """Keys and values (2, B, H, T, D) of the new tokens -> those of all, (2, B, H, L + T, D)."""
        self._grown.append(torch.cat([self._before[layer], keys_values], 3))
        return self._grown[-1]

    @property
    def past(self) -> Past:
        """What the next step goes on from."""
        return Past(self.tokens, self.mask, torch.stack(self._grown))


def cached_step(
    decoder: DecoderNetwork, tokens: Tensor, mask: Tensor, past: Past, memory: object | None = None
) -> tuple[Tensor, Past]:
    """Logits (B, T, V) after tokens (B, T) that follow on the past, and the past of the next step."""
    cache = PastKeysValues(past)
    features = decoder.features(tokens, mask, memory, cache)
    return decoder.logits(features), cache.past
