"""A decoder between two new tokens: with its cache, or with all that it has read.

B batch, P tokens of the prompts, F features, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

from limits import whole
from networks.sequence_network import DecoderNetwork


class DecodingState:
    """A decoder in the middle of B rows: what it has read, and how it reads on.

    `token_limit` (B,) is how many new tokens each row may have. It follows from the row's own prompt, not from the
    longest.

    Args:
        decoder: the network.
        prompt, prompt_mask: (B, P), what the rows begin with; True = token. At least one token each.
        memory: of the source, for a decoder with cross-attention.
        max_new_tokens: how many more tokens will be written at most; None: as many as the decoder can read.
        cached: keep keys and values; otherwise everything is read again for each new token.
    """

    def __init__(
        self,
        decoder: DecoderNetwork,
        prompt: Tensor,
        prompt_mask: Tensor | None,
        memory: Any | None,
        max_new_tokens: int | None = None,
        cached: bool = True,
    ):
        if max_new_tokens is not None:
            whole(max_new_tokens=max_new_tokens)
        if prompt_mask is not None and prompt_mask.all():
            prompt_mask = None  # without padding, attention needs no mask
        lengths = prompt.new_full((len(prompt),), prompt.shape[1]) if prompt_mask is None else prompt_mask.sum(1)
        if (lengths < 1).any():
            raise ValueError("a prompt is empty; every row needs at least one token to go on from")
        limit = decoder.max_length
        if (lengths > limit).any():
            raise ValueError(
                f"a prompt of {int(lengths.max())} tokens is too long: this network has max_length={limit}; shorten "
                "it, or train with a larger max_length"
            )
        self.token_limit = limit + 1 - lengths  # the last new token is not read
        if max_new_tokens is not None:
            self.token_limit = self.token_limit.clamp(max=min(max_new_tokens, limit))
        self.decoder, self.memory = decoder, memory
        self.cache = decoder.cache(prompt.shape[1] + int(self.token_limit.max()) - 1) if cached else None
        self.tokens, self.mask = prompt, prompt_mask

    def first(self) -> Tensor:
        """Logits (B, V) of the token after the prompt."""
        features = self.decoder.features(self.tokens, self.mask, self.memory, self.cache)  # (B, P, F)
        return self.decoder.logits(self._last(features))

    def next(self, tokens: Tensor, ended: Tensor) -> Tensor:
        """Logits (B, V) of the token after `tokens` (B,), which are the rows' new ones, and padding in ended rows."""
        mask = None if self.mask is None else ~ended[:, None]  # rows of one length reach their limits together
        if self.cache is not None:
            features = self.decoder.features(tokens[:, None], mask, self.memory, self.cache)  # (B, 1, F)
            return self.decoder.logits(features[:, -1])
        self.tokens = torch.cat([self.tokens, tokens[:, None]], 1)
        if self.mask is not None and mask is not None:
            self.mask = torch.cat([self.mask, mask], 1)
        return self.first()

    def reorder(self, rows: Tensor) -> None:
        """Row b goes on as a copy of row rows[b]."""
        if self.cache is not None:
            self.cache.reorder(rows)
        self.tokens = self.tokens[rows]
        self.mask = None if self.mask is None else self.mask[rows]
        self.memory = None if self.memory is None else self.memory.reorder(rows)

    def _last(self, features: Tensor) -> Tensor:
        """Features (B, F) of each row's last token."""
        if self.mask is None:
            return features[:, -1]
        places = torch.arange(1, self.mask.shape[1] + 1, device=self.mask.device)
        return features[torch.arange(len(features), device=features.device), (self.mask * places).argmax(1)]
