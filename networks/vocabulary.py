"""Text to token ids and back, carried by the weights: a checkpoint needs no data to read and write text.

B texts.
"""

from typing import cast

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, pre_tokenizers
from torch import Tensor, nn

from limits import whole

PAD, BOS, EOS, SEP = 0, 1, 2, 3  # padding, begin, end, between question and answer: never in a text
SPECIAL = 4  # how many ids are not text
UNWRITTEN = (PAD, BOS, SEP)  # special ids that no answer holds

# How tokens of bytes spell the 64 bytes that are never a character's first (UTF-8), from characters that end with them.
_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
CONTINUATION = frozenset(_bytes.pre_tokenize_str(chr(code))[0][0][-1] for code in range(0x80, 0xC0))


def after_bos(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Ids and mask (B, T) with BOS before them, (B, T + 1)."""
    return F.pad(ids, (1, 0), value=BOS), F.pad(mask, (1, 0), value=True)


def with_eos(ids: Tensor, mask: Tensor) -> Tensor:
    """Ids (B, T), padded on the right where the mask (B, T) is False, with EOS after each row's last: (B, T + 1)."""
    ids = F.pad(ids.masked_fill(~mask, PAD), (0, 1), value=PAD)
    return ids.scatter(1, mask.sum(1, keepdim=True), EOS)


class Vocabulary(nn.Module):
    """A tokenizer as extra state of a module, or none yet. A deep copy is the same object.

    The state is the tokenizer's JSON as bytes in a tensor, which may come back in any floating type: 16 bits hold a
    byte exactly.
    """

    def __init__(self, tokenizer: Tokenizer | None = None):
        super().__init__()
        self.tokenizer = tokenizer

    def adopt(self, tokenizer: Tokenizer) -> None:
        """Use this tokenizer from now on. Raises ValueError where another one is in use already."""
        if self.tokenizer is not None and self.tokenizer.to_str() != tokenizer.to_str():
            raise ValueError(
                f"the weights were trained with another tokenizer ({self.size} tokens) than the data's "
                f"({tokenizer.get_vocab_size()} tokens); use the data's options that they were trained with"
            )
        self.tokenizer = tokenizer

    @property
    def size(self) -> int:
        """How many ids there are, special ones included; 0 without a tokenizer."""
        return self.tokenizer.get_vocab_size() if self.tokenizer is not None else 0

    def encode(self, texts: list[str]) -> list[list[int]]:
        """B texts to B lists of ids. Raises ValueError that names what is not known."""
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f'texts must be a list of texts, such as ["one", "two"]; got {texts!r:.80}')
        try:
            encodings = self._known().encode_batch(texts, add_special_tokens=False)
        except TypeError as error:
            raise ValueError("a text holds a lone surrogate, half of a character; it is not in UTF-8") from error
        rows = [encoding.ids for encoding in encodings]
        for text, encoding, ids in zip(texts, encodings, rows, strict=True):
            if min(ids, default=SPECIAL) < SPECIAL:
                start, end = encoding.offsets[next(place for place, token in enumerate(ids) if token < SPECIAL)]
                raise ValueError(
                    f"{text[start:end]!r} in {text[max(0, start - 80) : end + 80]!r} is not known to the tokenizer; "
                    "leave it out"
                )
        return rows

    def decode(self, ids: Tensor | list[list[int]]) -> list[str]:
        """B rows of ids to B texts, special ids left out. Raises ValueError for an id that the tokenizer lacks."""
        rows, tokenizer = ids.tolist() if isinstance(ids, Tensor) else ids, self._known()
        highest = max((token for row in rows for token in row), default=0)
        if highest >= self.size:
            raise ValueError(f"the id {highest} is no token: the tokenizer has {self.size}, from 0 to {self.size - 1}")
        return tokenizer.decode_batch([[token for token in row if token >= SPECIAL] for row in rows])

    def tokens(self, ids: list[int]) -> list[str]:
        """The tokens of a row as they are called, special ones included."""
        tokenizer = self._known()
        for token in ids:
            whole(0, self.size - 1, ids=token)
        return [cast(str, tokenizer.id_to_token(token)) for token in ids]

    def characters(self) -> Tensor:
        """How many characters each token writes: (V,).

        Of a character of several bytes that tokens of bytes write together, the first byte's token has written it.
        """
        tokenizer = self._known()
        names = [cast(str, tokenizer.id_to_token(token)) for token in range(self.size)]
        going_on = CONTINUATION if isinstance(tokenizer.decoder, decoders.ByteLevel) else frozenset()
        counts = [sum(sign not in going_on for sign in name) for name in names]
        return torch.tensor([0] * SPECIAL + counts[SPECIAL:])

    def _known(self) -> Tokenizer:
        if self.tokenizer is None:
            raise ValueError(
                "this model has no tokenizer yet; train it on a datamodule with one, give it one (vocabulary.adopt) "
                "or load a checkpoint"
            )
        return self.tokenizer

    def get_extra_state(self) -> Tensor:
        text = self.tokenizer.to_str() if self.tokenizer is not None else ""
        return torch.tensor(list(text.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        if not len(state):
            return
        try:
            tokenizer = Tokenizer.from_str(bytes(state.to(torch.uint8).tolist()).decode())
        except Exception as error:  # `tokenizers` raises nothing more special
            raise ValueError(f"the weights hold a tokenizer that cannot be read: {error}") from error
        self.adopt(tokenizer)

    def __deepcopy__(self, memo: dict) -> "Vocabulary":
        return self  # averaged weights are copied before the tokenizer is known, and must learn of it
