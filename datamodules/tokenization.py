"""Text as token ids: tokenizers of characters, of numbers, and byte-pair encoding, of characters or of bytes.

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


def character_tokenizer(alphabet: str = ALPHABET) -> Tokenizer:
    """One token for each character of an alphabet; of printable ASCII, 99 in all."""
    tokenizer = _words(list(dict.fromkeys(alphabet)))
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
    learner.model.unk_token = SPECIAL_TOKENS[0]
    return _around(learner, decoders.Fuse())


def byte_level_bpe_tokenizer(texts: Sequence[str], size: int = 512) -> Tokenizer:
    """Byte-pair encoding of the bytes of UTF-8 (Radford et al. 2019, Sec. 2.2) with at most `size` tokens.

    Every byte is a token of its own, so that any text can be encoded and comes back as it was. Merges are learned from
    `texts`, within what GPT-2 takes for a word.
    """
    bytes_ = pre_tokenizers.ByteLevel.alphabet()
    least = len(SPECIAL_TOKENS) + len(bytes_)
    whole(least, size=size)
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=min(size, least + sum(len(text.encode()) for text in texts)),  # room is taken for all of them
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=bytes_,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    return _around(learner, decoders.ByteLevel())


def _around(learner: Tokenizer, decoder: decoders.Decoder) -> Tokenizer:
    """A tokenizer around a model that was learned: the learner itself would read "<pad>" in a text as padding."""
    tokenizer = Tokenizer(learner.model)
    tokenizer.pre_tokenizer, tokenizer.decoder = learner.pre_tokenizer, decoder
    return tokenizer


class TextTokenizer(ABC):
    """How text is split into tokens: makes a tokenizer, which may have to be learned from text.

    Attributes:
        vocab_size: how many tokens it has, special ones included; None where the text says it.
        learned: whether it is learned from text; otherwise it is always the same.
    """

    vocab_size: int | None
    learned: bool

    @abstractmethod
    def train(self, texts: Sequence[str]) -> Tokenizer:
        """The tokenizer, learned from `texts` where it is learned. Raises ValueError where they are too few for it."""


class CharacterTokenizer(TextTokenizer):
    """One token for each character of an alphabet (`character_tokenizer`).

    Args:
        alphabet: the characters, by default those of printable ASCII.
    """

    learned = False

    def __init__(self, alphabet: str = ALPHABET):
        if not alphabet:
            raise ValueError("alphabet is empty; give the characters, or take LearnedCharacterTokenizer")
        self.alphabet = alphabet
        self.vocab_size = len(SPECIAL_TOKENS) + len(set(alphabet))

    def train(self, texts: Sequence[str] = ()) -> Tokenizer:
        return character_tokenizer(self.alphabet)


class LearnedCharacterTokenizer(TextTokenizer):
    """One token for each character of the text that it learns from (`character_tokenizer`)."""

    vocab_size = None
    learned = True

    def train(self, texts: Sequence[str]) -> Tokenizer:
        found = "".join(sorted(set().union(*texts)))
        if not found:
            raise ValueError("the text to learn characters from is empty")
        return character_tokenizer(found)


class _LearnedBPE(TextTokenizer):
    learned = True
    vocab_size: int

    def _checked(self, tokenizer: Tokenizer) -> Tokenizer:
        """The tokenizer. Raises ValueError unless it has `vocab_size` tokens."""
        if tokenizer.get_vocab_size() != self.vocab_size:
            raise ValueError(
                f"the text is too short for vocab_size={self.vocab_size}: byte-pair encoding found "
                f"{tokenizer.get_vocab_size()} tokens in it; take as many, or more text"
            )
        return tokenizer


class BPETokenizer(_LearnedBPE):
    """Byte-pair encoding of printable ASCII (`bpe_tokenizer`).

    Args:
        vocab_size: of the tokenizer, at least 99: all characters and special tokens.
    """

    def __init__(self, vocab_size: int = 512):
        whole(len(SPECIAL_TOKENS) + len(ALPHABET), 1_000_000, vocab_size=vocab_size)
        self.vocab_size = vocab_size

    def train(self, texts: Sequence[str]) -> Tokenizer:
        return self._checked(bpe_tokenizer(texts, self.vocab_size))


class ByteLevelBPETokenizer(_LearnedBPE):
    """Byte-pair encoding of bytes, which reads every text there is (`byte_level_bpe_tokenizer`).

    Args:
        vocab_size: of the tokenizer, at least 260: all bytes and special tokens.
    """

    def __init__(self, vocab_size: int = 512):
        whole(len(SPECIAL_TOKENS) + 256, 1_000_000, vocab_size=vocab_size)
        self.vocab_size = vocab_size

    def train(self, texts: Sequence[str]) -> Tokenizer:
        return self._checked(byte_level_bpe_tokenizer(texts, self.vocab_size))
