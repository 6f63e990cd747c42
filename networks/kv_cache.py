"""Keys and values of the tokens that a decoder has read, so that it reads each token once.

B batch, T new tokens, L tokens read so far (L = length), H heads, D head dim.
"""

import torch
from torch import Tensor

from limits import whole


class KVCache:
    """Room for `capacity` tokens in each of `layers` layers; memory is allocated with the first tokens.

    Rows of a batch share the slots. A slot that is padding in a row is False in `mask`, and is never attended to there.

    Args:
        capacity: most tokens of a row, padding included.
        layers: how many the decoder has.
    """

    def __init__(self, capacity: int, layers: int):
        whole(capacity=capacity, layers=layers)
        self.capacity, self.length = capacity, 0
        self._tokens: Tensor | None = None  # (B, capacity)
        self._mask: Tensor | None = None  # (B, capacity)
        self._keys_values: list[Tensor | None] = [None] * layers  # each (2, B, H, capacity, D)

    def advance(self, tokens: Tensor, mask: Tensor | None = None) -> None:
        """Reserve slots for tokens (B, T); where the mask (B, T) is False they are padding.

        Raises ValueError where too few slots are left, or where the number of rows changes.
        """
        if self._tokens is not None and len(tokens) != len(self._tokens):
            raise ValueError(f"the cache holds {len(self._tokens)} rows; got tokens of {len(tokens)}")
        start, end = self.length, self.length + tokens.shape[1]
        if end > self.capacity:
            raise ValueError(
                f"the cache has room for {self.capacity} tokens; {start} are read and {end - start} more do not fit; "
                "give it a larger capacity"
            )
        self.length = end
        if self._tokens is None:
            self._tokens = tokens.new_empty(len(tokens), self.capacity)
        self._tokens[:, start:end] = tokens
        if mask is not None:
            if self._mask is None:
                self._mask = mask.new_ones(len(tokens), self.capacity)
            self._mask[:, start:end] = mask

    @property
    def tokens(self) -> Tensor:
        """(B, L), those read so far."""
        assert self._tokens is not None  # since `advance`
        return self._tokens[:, : self.length]

    @property
    def mask(self) -> Tensor | None:
        """(B, L), True at tokens; None where no slot is padding."""
        return None if self._mask is None else self._mask[:, : self.length]

    @property
    def keys_values(self) -> Tensor:
        """(layers, 2, B, H, L, D), those of all tokens read so far."""
        return torch.stack([room.narrow(3, 0, self.length) for room in self._keys_values if room is not None])

    def append(self, layer: int, keys_values: Tensor) -> Tensor:
        """Put keys and values (2, B, H, T, D) into the reserved slots -> those of all L tokens, (2, B, H, L, D)."""
        room = self._keys_values[layer]
        if room is None:
            two, batch, heads, _, dim = keys_values.shape
            room = self._keys_values[layer] = keys_values.new_empty(two, batch, heads, self.capacity, dim)
        new = keys_values.shape[3]
        room.narrow(3, self.length - new, new).copy_(keys_values)
        return room.narrow(3, 0, self.length)

    def reorder(self, rows: Tensor) -> None:
        """Row b goes on as a copy of row rows[b]."""
        if self._tokens is not None:
            self._tokens = self._tokens[rows]
        if self._mask is not None:
            self._mask = self._mask[rows]
        self._keys_values = [room if room is None else room[:, rows] for room in self._keys_values]
