"""Text as token ids: a tokenizer for characters, one for numbers, and byte-pair encoding learned from text.

All are `tokenizers.Tokenizer`s whose first ids are those of `networks.vocabulary`: padding, begin and end of a
sequence, and the separator between question and answer. None of these can result from text: what a tokenizer does not
know becomes padding, which `Vocabulary.encode` answers with an error.
"""

import string
from abc import ABC, abstractmethod
from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from limits import whole

SPECIAL_TOKENS = ["<pad>", "<bos>", "<eos>", "<sep>"]  # ids 0 to 3
ALPHABET = string.ascii_letters + string.digits + string.punctuation + " "  # the 95 printable ASCII characters


def _words(words: list[str]) -> Tokenizer:
    vocabulary = {word: index for index, word in enumerate([*SPECIAL_TOKENS, *words])}
    return Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL_TOKENS[0]))


def character_tokenizer() -> Tokenizer:
    """One token for each printable ASCII character, 99 in all."""
    tokenizer = _words(list(ALPHABET))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def number_tokenizer(numbers: int = 100) -> Tokenizer:
    """One token for each of the numbers 0, 1, ... (number k has id 4 + k), set apart by blanks in text."""
    whole(1, 1_000_000, numbers=numbers)
    tokenizer = _words([str(number) for number in range(numbers)])
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def bpe_tokenizer(texts: Sequence[str], size: int = 512) -> Tokenizer:
    """Byte-pair encoding (Sennrich et al. 2016, Sec. 3.2) with at most `size` tokens, learned from `texts`.

    A token never spans two words; a word's first token holds the blank before it. Every printable ASCII character is a
    token of its own, so that any such text can be encoded and comes back as it was.
    """
    least = len(SPECIAL_TOKENS) + len(ALPHABET)
    if size < least:
        raise ValueError(f"size={size} tokens cannot hold the {least} of characters and special tokens; raise it")
    known = set(ALPHABET)
    texts = [text for text in texts if known.issuperset(text)]
    size = min(size, least + sum(map(len, texts)))  # no text has more merges than characters; room is taken for `size`
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?[A-Za-z]+|[\s\S]"), "isolated")
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIAL_TOKENS, initial_alphabet=list(ALPHABET), show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    # The learner would read "<pad>" in a text as padding; a tokenizer around its model alone reads five characters.
    tokenizer = Tokenizer(learner.model)
    tokenizer.model.unk_token = SPECIAL_TOKENS[0]
    tokenizer.pre_tokenizer = learner.pre_tokenizer
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


class TextTokenizer(ABC):
    """How text is split into tokens: makes a tokenizer, which may have to be learned from text.

    Attributes:
        vocab_size: how many tokens it has, special ones included.
        learned: whether it is learned from text; otherwise it is always the same.
    """

    vocab_size: int
    learned: bool

    @abstractmethod
    def train(self, texts: Sequence[str]) -> Tokenizer:
        """The tokenizer, learned from `texts` where it is learned. Raises ValueError where they are too few for it."""


class CharacterTokenizer(TextTokenizer):
    """One token for each printable ASCII character (`character_tokenizer`)."""

    vocab_size = len(SPECIAL_TOKENS) + len(ALPHABET)
    learned = False

    def train(self, texts: Sequence[str] = ()) -> Tokenizer:
        return character_tokenizer()


class BPETokenizer(TextTokenizer):
    """Byte-pair encoding (`bpe_tokenizer`).

    Args:
        vocab_size: of the tokenizer, at least 99: all characters and special tokens.
    """

    learned = True

    def __init__(self, vocab_size: int = 512):
        whole(CharacterTokenizer.vocab_size, 1_000_000, vocab_size=vocab_size)
        self.vocab_size = vocab_size

    def train(self, texts: Sequence[str]) -> Tokenizer:
        tokenizer = bpe_tokenizer(texts, self.vocab_size)
        if tokenizer.get_vocab_size() != self.vocab_size:
            raise ValueError(
                f"the text is too short for vocab_size={self.vocab_size}: byte-pair encoding found "
                f"{tokenizer.get_vocab_size()} tokens in it; take as many, or more text"
            )
        return tokenizer
