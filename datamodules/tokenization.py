"""Text as token ids: a tokenizer for characters, one for numbers, and byte-pair encoding learned from text.

All are `tokenizers.Tokenizer`s whose first ids are those of `networks.vocabulary`: padding, begin and end of a
sequence, and the separator between question and answer. None of these can come out of text: what a tokenizer does not
know becomes padding, which `Vocabulary.encode` answers with an error.
"""

import string

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


def bpe_tokenizer(texts: list[str], size: int = 512) -> Tokenizer:
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
