"""What sequence models and `decoding` ask of a network: the contract for a network of your own.

`networks.transformer` fulfils all three. Features and logits are apart so that only the logits that count are made:
with a large vocabulary they cost the most. A call of the network itself, as `callbacks.attention_maps` makes it, takes
the arguments of `features` and gives the logits.

Masks of tokens are True at tokens. Rows are padded on the right, and, while a decoder generates, also between a prompt
and what follows it. Padding must not change the result.

B batch, S source tokens, T tokens, F features, V vocabulary.
"""

from typing import Any, Protocol

from torch import Tensor


class EncoderNetwork(Protocol):
    """Reads all of a sequence, for `SequenceTagger`."""

    def features(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, T, F). Raises ValueError where a row has more tokens than the network can read."""

    def logits(self, features: Tensor) -> Tensor:
        """(..., F) -> (..., V)."""


class DecoderNetwork(Protocol):
    """Reads a sequence from left to right: features of a token depend on itself and those before it alone.

    Attributes:
        vocab_size: V.
        max_length: most tokens of a row.
    """

    vocab_size: int
    max_length: int

    def features(self, tokens: Tensor, mask: Tensor | None = None, memory: Any = None, cache: Any = None) -> Tensor:
        """(B, T) -> (B, T, F).

        Args:
            memory: of a source, what the encoder-decoder's `encode` gave; None for a decoder alone.
            cache: what `cache` gave; then the tokens follow those that it was given before.
        """

    def logits(self, features: Tensor) -> Tensor:
        """(..., F) -> (..., V)."""

    def cache(self, capacity: int) -> Any:
        """An empty state of rows of at most `capacity` tokens, such as `networks.kv_cache.KVCache`.

        Its method `reorder(rows)` makes row b go on as a copy of row rows[b]. A network without such a state gives
        None, and reads all tokens again for each new one.
        """


class EncoderDecoderNetwork(Protocol):
    """Reads a source, and a target from left to right.

    Attributes:
        decoder: writes targets.
    """

    decoder: DecoderNetwork

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Any:
        """The source (B, S) as the decoder's memory.

        Its method `reorder(rows)` gives a memory whose row b is row rows[b].
        """

    def features(
        self, source: Tensor, target: Tensor, source_mask: Tensor | None = None, target_mask: Tensor | None = None
    ) -> Tensor:
        """What the logits are read from: (B, S) and (B, T) -> (B, T, F)."""

    def logits(self, features: Tensor) -> Tensor:
        """(..., F) -> (..., V)."""
