"""Free text as one row of token ids, read from a file as it is needed: it need not fit in memory.

N tokens, L of them in a block, B blocks in a batch.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules import cache
from limits import whole
from networks.vocabulary import EOS, Vocabulary

PIECE = 2**18  # characters that are encoded at once


def token_stream(documents: Sequence[str], vocabulary: Vocabulary) -> np.ndarray:
    """The ids of all documents, EOS behind each: (N,) unsigned.

    They are written once, to a file of the cache (`datamodules.cache`), and mapped into memory from there; where none
    can be written, they are in memory. Raises ValueError that names what the vocabulary does not know.
    """
    kind = np.dtype(np.uint16 if vocabulary.size <= 2**16 else np.uint32)
    tokenizer = bytes(vocabulary.get_extra_state().tolist())
    key = cache.digest([tokenizer, *(part for text in documents for part in (text.encode(), b"\xff"))])
    path = cache.folder() / f"tokens-{key}.{kind.name}"

    def pieces() -> Iterator[np.ndarray]:
        for document in documents:
            for piece in _pieces(document):
                yield np.array(vocabulary.encode([piece])[0], kind)
            yield np.array([EOS], kind)

    def write(part: Path) -> None:
        with part.open("wb") as file:
            for ids in pieces():
                ids.tofile(file)

    if not documents:
        return np.zeros(0, kind)
    if not path.exists():
        cache.keep(path, write)
    return np.memmap(path, kind, "r") if path.exists() else np.concatenate(list(pieces()))


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces of at most `PIECE` characters, that end with a line where they can."""
    start = 0
    while start < len(text):
        end = start + PIECE
        line = text.rfind("\n", start, end) + 1 if end < len(text) else 0
        yield text[start : line or end]
        start = line or end


class Blocks(Dataset):
    """Blocks that follow one another in a row of tokens: {"tokens": (B, L + 1)}, L to read and L to predict.

    What is left at the end is too short for a block.

    Args:
        tokens: (N,), for example of `token_stream`.
        length: L.
        start: where the first block begins.
    """

    def __init__(self, tokens: np.ndarray, length: int, start: int = 0):
        whole(length=length)
        whole(0, start=start)
        self.tokens, self.length, self.start = tokens, length, start

    def __len__(self) -> int:
        return max(0, (len(self.tokens) - 1 - self.start) // self.length)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        begins = self.start + self.length * np.asarray(indices)
        places = begins[:, None] + np.arange(self.length + 1)
        return {"tokens": torch.from_numpy(self.tokens[places].astype(np.int64))}

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: values[0] for name, values in self.__getitems__([index]).items()}
