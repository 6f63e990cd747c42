"""Pairs of texts of your own: any mapping from one text to another, read from two columns of files.

N pairs, B of them in a batch, S tokens of the source, T of the target.
"""

import zlib
from collections.abc import Sequence

from tokenizers import Tokenizer
from torch.utils.data import DataLoader

from datamodules import held_out, sources
from datamodules.carried_tokenizer import carried_tokenizer
from datamodules.device_resident import OnDevice
from datamodules.pairs import Pairs, PairsDataModule
from datamodules.tokenization import LearnedCharacterTokenizer, TextTokenizer
from limits import number
from networks.vocabulary import Vocabulary

Rows = list[tuple[str, str]]


class TextPairs(PairsDataModule):
    """Pairs of texts, {"source": (B, S), "target": (B, T)} token ids with masks (`datamodules.pairs`).

    What the source has as splits named validation and test is that; otherwise a share of the training split is, by a
    hash of the first text, so that pairs with the same one are on the same side, in this run and any other.

    Args:
        source: the pairs: a file (.tsv, .csv, .jsonl, .parquet), a folder of such, or a Hub id (`datamodules.sources`).
        columns: the names of the two columns, by default the first two. In .tsv and .csv, whose columns may have none,
            the first line holds names where they are given here, and otherwise is a pair.
        tokenizer: learned from the training split where it has to learn (`datamodules.tokenization`); by default of the
            characters that are there.
        batch_size: pairs in a batch; those of one batch have similar lengths.
        val_share, test_share: shares of the training split that are held out where the source has no such split.
        seed: of the order in which an epoch is read.
        text: a text to answer in `predict`, which needs no pairs.
        on_device: whether pairs are held on the GPU (`datamodules.device_resident`).
    """

    def __init__(
        self,
        source: str | None = None,
        columns: tuple[str, str] | None = None,
        tokenizer: TextTokenizer | None = None,
        batch_size: int = 64,
        val_share: float = 0.05,
        test_share: float = 0.05,
        seed: int = 0,
        text: str | None = None,
        on_device: OnDevice = "auto",
    ):
        super().__init__(on_device)
        held_out.check_shares(val_share, test_share)
        if columns is not None and columns[0] == columns[1]:
            raise ValueError(f"columns={list(columns)}: source and target are the same column; name two")
        if text is not None and not text.strip():
            raise ValueError('the text to answer is empty; for example --data.text "third of May, 1984"')
        self.save_hyperparameters(ignore=["tokenizer"], logger=False)
        self.text_tokenizer = LearnedCharacterTokenizer() if tokenizer is None else tokenizer
        self.tokenizer: Tokenizer | None = None if self.text_tokenizer.learned else self.text_tokenizer.train([])
        self.test_names = ["exact_match"]

    @property
    def vocab_size(self) -> int | None:  # type: ignore[override]
        """That of the tokenizer, for which the pairs may have to be read; None where there is but a text to answer."""
        if self.text_tokenizer.vocab_size is None and self.hparams.text is None:
            self.setup()
        return self.text_tokenizer.vocab_size if self.tokenizer is None else self.tokenizer.get_vocab_size()

    def make_held_out(self) -> None:
        train = self._read("train")
        given = sources.splits(self._source())
        own = [self._read(split) if split in given else None for split in ("validation", "test")]
        train, *drawn = held_out_by_hash(train, self._shares(own))
        val, test = (rows if theirs is None else theirs for rows, theirs in zip(drawn, own, strict=True))
        if not train:
            raise ValueError(
                f"source={self.hparams.source!r} holds {len(val) + len(test)} pairs, and none is left to train on: a "
                "share is for validation and test, by a hash of the first text; lower val_share and test_share"
            )
        if self.text_tokenizer.learned:
            self.tokenizer = self.text_tokenizer.train([text for pair in train for text in pair])
        self.train_set, self.val_pairs, test_pairs = (
            self._pairs(rows, what) for rows, what in ((train, "training"), (val, "validation"), (test, "test"))
        )
        self.test_pairs = [test_pairs]

    def _source(self) -> str:
        if self.hparams.source is None:
            raise ValueError("no pairs are named; give a file, a folder or a Hub id with --data.source")
        return self.hparams.source

    def _read(self, split: str) -> Rows:
        """The pairs of a split. Raises ValueError where a text is missing, or is none."""
        source, columns = self._source(), self.hparams.columns
        table = sources.load(source, split, None if columns is None else list(columns))
        names = table.column_names[:2] if columns is None else columns
        if len(names) < 2:
            raise ValueError(f"source={source!r} has one column, {names[0]!r}; a pair needs two: source and target")
        found = list(zip(*(table[name] for name in names), strict=True))
        for row, pair in enumerate(found):
            for name, value in zip(names, pair, strict=True):
                if not isinstance(value, str) or not value:
                    raise ValueError(
                        f"column {name!r} of {source!r} holds {value!r} in row {row} of its split {split!r}, where a "
                        "text is needed; leave the row out"
                    )
        return found

    def _shares(self, own: Sequence[Rows | None]) -> list[float]:
        """Shares of validation and test to hold out, where the source has no splits of its own for them."""
        shares = (self.hparams.val_share, self.hparams.test_share)
        return [share if rows is None else 0.0 for share, rows in zip(shares, own, strict=True)]

    def _pairs(self, rows: Rows, what: str) -> Pairs:
        """Rows as ids. Raises ValueError that says which part of the data holds what the tokenizer does not know."""
        vocabulary = Vocabulary(self.tokenizer)
        try:
            return Pairs.from_lists(*(vocabulary.encode([pair[side] for pair in rows]) for side in (0, 1)))
        except ValueError as error:
            raise ValueError(
                f"the {what} pairs of {self.hparams.source!r}: {error}, or take a tokenizer that knows every text, "
                "--data.tokenizer ByteLevelBPETokenizer"
            ) from error

    @property
    def train_size(self) -> int:
        return len(self.train_set)

    def draw_training(self, epoch: int) -> Pairs:
        return self.train_set

    def val_dataloader(self) -> DataLoader | list:
        return self.loader(self.val_pairs) if len(self.val_pairs) else held_out.no_validation(self)

    def test_dataloader(self) -> list[DataLoader]:
        if not len(self.test_pairs[0]):
            raise ValueError(
                f"test_share={self.hparams.test_share} holds no pair of {self.hparams.source!r} out to test on; "
                "raise it"
            )
        return super().test_dataloader()

    def predict_dataloader(self) -> DataLoader:
        if self.hparams.text is None:
            raise ValueError('nothing to answer; say what with --data.text "third of May, 1984"')
        ids = Vocabulary(carried_tokenizer(self)).encode([self.hparams.text])
        return self.loader(Pairs.from_lists(ids, [[]]))


def held_out_by_hash(rows: Rows, shares: Sequence[float]) -> list[Rows]:
    """The rows that stay, and for each share those that are held out, by a hash of each row's first text."""
    for share in shares:
        number("[0, 1]", shares=share)
    borders = [sum(shares[: number + 1]) for number in range(len(shares))]
    parts: list[Rows] = [[] for _ in range(len(shares) + 1)]
    for row in rows:
        place = zlib.crc32(row[0].encode()) / 2**32
        parts[next((part for part, border in enumerate(borders, 1) if place < border), 0)].append(row)
    return parts
