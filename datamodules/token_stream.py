"""Free text as one row of token ids, read from a file as it is needed: it need not fit in memory.

N tokens, L of them in a block, B blocks in a batch.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from datamodules import cache
from datamodules.device_resident import ResidentSet, index_on
from limits import whole
from networks.vocabulary import EOS, Vocabulary

PIECE = 2**18  # characters that are encoded at once


def token_stream(documents: Sequence[str], vocabulary: Vocabulary) -> Tensor:
    """The ids of all documents, EOS behind each: (N,).

    They are written once, to a file of the cache (`datamodules.cache`), and mapped into memory from there; where none
    can be written, they are in memory. Raises ValueError that names what the vocabulary does not know.
    """
    kind = torch.int16 if vocabulary.size <= 2**15 else torch.int32
    tokenizer = bytes(vocabulary.get_extra_state().tolist())
    key = cache.digest([tokenizer, *(part for text in documents for part in (text.encode(), b"\xff"))])
    path = cache.folder() / f"tokens-{key}.bin"

    def pieces() -> Iterator[Tensor]:
        for document in documents:
            for piece in _pieces(document):
                yield torch.tensor(vocabulary.encode([piece])[0], dtype=kind)
            yield torch.tensor([EOS], dtype=kind)

    def write(part: Path) -> None:
        with part.open("wb") as file:
            for ids in pieces():
                ids.numpy().tofile(file)

    if not documents:
        return torch.zeros(0, dtype=kind)
    if not path.exists():
        cache.keep(path, write)
    if not path.exists():
        return torch.cat(list(pieces()))
    return torch.from_file(str(path), shared=False, size=path.stat().st_size // kind.itemsize, dtype=kind)


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces of at most `PIECE` characters, that end with a line where they can."""
    start = 0
    while start < len(text):
        end = start + PIECE
        line = text.rfind("\n", start, end) + 1 if end < len(text) else 0
        yield text[start : line or end]
        start = line or end


class Blocks(ResidentSet):
    """Blocks that follow one another in a row of tokens: {"tokens": (B, L + 1)}, L to read and L to predict.

    What is left at the end is too short for a block.

    Args:
        tokens: (N,), for example of `token_stream`.
        length: L.
        start: the token that the first block begins with, below L, asked for at every batch; None: always the first.
    """

    held = ("tokens",)

    def __init__(self, tokens: Tensor, length: int, start: Callable[[], int] | None = None):
        whole(length=length)
        self.tokens, self.length, self.start = tokens, length, start

    def __len__(self) -> int:
        left_out = 1 if self.start is None else self.length  # so that wherever they begin there are as many
        return max(0, len(self.tokens) - left_out) // self.length

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        device, start = self.tokens.device, 0 if self.start is None else self.start()
        begins = index_on(device, indices) * self.length + start
        return {"tokens": self.tokens[begins[:, None] + torch.arange(self.length + 1, device=device)].long()}
