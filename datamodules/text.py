"""Free text of your own, to learn to write more of it: blocks of tokens that follow one another.

N tokens, L of them in a block, B blocks in a batch.
"""

import zlib

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules import held_out, sources
from datamodules.carried_tokenizer import carried_tokenizer
from datamodules.device_resident import OnDevice, ResidentDataModule
from datamodules.documents import PYDOC, read_documents, text_files
from datamodules.running_epoch import running_epoch
from datamodules.token_stream import Blocks, token_stream
from datamodules.tokenization import ByteLevelBPETokenizer, TextTokenizer
from limits import whole
from networks.vocabulary import Vocabulary

SEEDS = 2**32
PARAGRAPH = "\n\n"  # what stands between two
ENDS = (PARAGRAPH, "\n", " ")  # of a paragraph, a line, a word
NEAR = 2_000  # characters


class Text(ResidentDataModule):
    """Free text, {"tokens": (B, L + 1)}: of each row the first L tokens are read and the last L predicted.

    Documents follow one another in the order of a hash of theirs, each with EOS at its end. A training epoch reads all
    blocks in a random order; they begin at another token in each epoch. Splits of the source named validation and test
    are that. Otherwise the end of the text is held out, without paragraphs that the rest holds, too: these would
    measure memory.

    Args:
        source: the text: "pydoc", a text file, a folder of .txt files, or rows (`datamodules.documents`).
        column: of the rows.
        tokenizer: learned from the training split where it has to learn (`datamodules.tokenization`).
        block_size: L.
        batch_size: blocks in a batch.
        val_share, test_share: shares of the text that are held out where the source has no such split.
        seed: epoch e begins at a token that follows from seed + e.
        prompt: a text to go on with in `predict`, which needs no other.
        on_device: whether tokens are held on the GPU (`datamodules.device_resident`).
    """

    paired = False
    train_tokens: Tensor
    val_blocks: Blocks
    test_blocks: Blocks

    def __init__(
        self,
        source: str = PYDOC,
        column: str = "text",
        tokenizer: TextTokenizer | None = None,
        block_size: int = 256,
        batch_size: int = 32,
        val_share: float = 0.05,
        test_share: float = 0.05,
        seed: int = 0,
        prompt: str | None = None,
        on_device: OnDevice = "auto",
    ):
        super().__init__(on_device)
        whole(block_size=block_size, batch_size=batch_size)
        whole(0, SEEDS - 1, seed=seed)
        held_out.check_shares(val_share, test_share)
        if prompt == "":
            raise ValueError('the prompt is empty; for example --data.prompt "The with statement"')
        self.save_hyperparameters(ignore=["tokenizer"], logger=False)
        self.text_tokenizer = ByteLevelBPETokenizer(1024) if tokenizer is None else tokenizer
        self.tokenizer: Tokenizer | None = None if self.text_tokenizer.learned else self.text_tokenizer.train([])

    @property
    def vocab_size(self) -> int | None:
        """That of the tokenizer, for which the text may have to be read; None where there is but a prompt."""
        if self.text_tokenizer.vocab_size is None and self.hparams.prompt is None:
            self.setup()
        return self.text_tokenizer.vocab_size if self.tokenizer is None else self.tokenizer.get_vocab_size()

    def setup(self, stage: str | None = None) -> None:
        if stage == "predict" or hasattr(self, "train_tokens"):  # for `predict` a prompt is enough
            return
        train, val, test = self._documents()
        if self.text_tokenizer.learned:
            self.tokenizer = self.text_tokenizer.train(train)
        self.train_tokens = self._tokens(train, "training")
        length = self.hparams.block_size
        if len(self.train_tokens) < 2 * length:
            raise ValueError(
                f"source={self.hparams.source!r} holds {len(self.train_tokens)} tokens to train on, fewer than two "
                f"blocks of block_size={length}; lower it, or give more text"
            )
        self.val_blocks = Blocks(self._tokens(val, "validation"), length)
        self.test_blocks = Blocks(self._tokens(test, "test"), length)
        if val and not len(self.val_blocks):
            raise ValueError(
                f"the validation text of {self.hparams.source!r} has {len(self.val_blocks.tokens)} tokens, and a block "
                f"of block_size={length} takes one more than that; lower it, or raise val_share (0 holds nothing out)"
            )

    def _documents(self) -> tuple[list[str], list[str], list[str]]:
        """Documents to train on, for validation, and for test."""
        hp = self.hparams
        train = sorted(read_documents(hp.source, "train", hp.column), key=lambda text: zlib.crc32(text.encode()))
        rows = hp.source != PYDOC and not text_files(hp.source)
        splits = sources.splits(hp.source) if rows else ["train"]
        characters = sum(map(len, train))
        held: dict[str, list[str]] = {}
        for split, share in (("test", hp.test_share), ("validation", hp.val_share)):
            if split in splits:
                held[split] = read_documents(hp.source, split, hp.column)
            else:
                train, held[split] = cut(train, round(share * characters))
        new = {split: texts if split in splits else new_paragraphs(texts, train) for split, texts in held.items()}
        train, val, test = ([text for text in part if text] for part in (train, new["validation"], new["test"]))
        return train, val, test

    def _tokens(self, documents: list[str], what: str) -> Tensor:
        """Documents as ids. Raises ValueError that says which part of the text holds what the tokenizer lacks."""
        try:
            return token_stream(documents, Vocabulary(self.tokenizer))
        except ValueError as error:
            raise ValueError(
                f"the {what} text of {self.hparams.source!r}: {error}, or take a tokenizer that knows every text, "
                "--data.tokenizer ByteLevelBPETokenizer"
            ) from error

    def _start(self) -> int:
        """The token that the running epoch's first block begins with."""
        rng = np.random.default_rng(self.hparams.seed + running_epoch(self.trainer))
        return int(rng.integers(self.hparams.block_size))

    def train_dataloader(self) -> DataLoader:
        blocks = Blocks(self.train_tokens, self.hparams.block_size, self._start)
        return self.loader(blocks, shuffle=True, drop_last=len(blocks) >= self.hparams.batch_size)

    def val_dataloader(self) -> DataLoader | list:
        return self.loader(self.val_blocks) if len(self.val_blocks) else held_out.no_validation(self)

    def test_dataloader(self) -> DataLoader:
        if not len(self.test_blocks):
            raise ValueError(
                f"test_share={self.hparams.test_share} holds no block of block_size={self.hparams.block_size} tokens "
                f"of {self.hparams.source!r} out to test on; raise it, or lower block_size"
            )
        return self.loader(self.test_blocks)

    def predict_dataloader(self) -> DataLoader:
        if self.hparams.prompt is None:
            raise ValueError('nothing to go on with; give a beginning with --data.prompt "The with statement"')
        (ids,) = Vocabulary(carried_tokenizer(self)).encode([self.hparams.prompt])
        return DataLoader([{"tokens": torch.tensor(ids)}])  # type: ignore[arg-type]  # a list is a data set, too


def cut(documents: list[str], count: int) -> tuple[list[str], list[str]]:
    """Documents without their last `count` characters, and these.

    The border moves back to the end of a paragraph, a line or a word, where there is one near by.
    """
    place = sum(map(len, documents)) - count
    for number, text in enumerate(documents):
        if place < len(text):
            near = text[max(0, place - NEAR) : place]
            place -= next((len(near) - near.rfind(end) - len(end) for end in ENDS if end in near), 0)
            return [*documents[:number], text[:place]], [text[place:], *documents[number + 1 :]]
        place -= len(text)
    return documents, []


def new_paragraphs(documents: list[str], known: list[str]) -> list[str]:
    """Documents without the paragraphs that known documents hold, too."""
    before = {paragraph.strip() for text in known for paragraph in text.split(PARAGRAPH)}
    return [PARAGRAPH.join(part for part in text.split(PARAGRAPH) if part.strip() not in before) for text in documents]
