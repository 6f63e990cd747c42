import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from datamodules.tokenization import (
    ALPHABET,
    BPETokenizer,
    ByteLevelBPETokenizer,
    CharacterTokenizer,
    LearnedCharacterTokenizer,
    bpe_tokenizer,
    byte_level_bpe_tokenizer,
    character_tokenizer,
    number_tokenizer,
)
from networks.vocabulary import BOS, EOS, PAD, SEP, Vocabulary

TEXTS = ["the quick brown fox jumps over the lazy dog", "the other fox, they say, is there"] * 10
TOKENIZERS = {"characters": character_tokenizer(), "bpe": bpe_tokenizer(TEXTS, 120)}
BYTES = byte_level_bpe_tokenizer(TEXTS + ["naïve 中文 🙂"] * 5, 300)
any_tokenizer = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)


def test_the_alphabet_is_printable_ascii():
    assert sorted(ALPHABET) == [chr(code) for code in range(32, 127)]


@pytest.mark.parametrize("tokenizer", [*TOKENIZERS.values(), number_tokenizer()], ids=[*TOKENIZERS, "numbers"])
def test_the_first_ids_are_special(tokenizer):
    names = {PAD: "<pad>", BOS: "<bos>", EOS: "<eos>", SEP: "<sep>"}
    assert {token: tokenizer.id_to_token(token) for token in names} == names


@any_tokenizer
@given(text=st.text(ALPHABET, max_size=50))
def test_every_text_comes_back(tokenizer, text):
    vocabulary = Vocabulary(tokenizer)
    ids = vocabulary.encode([text])
    assert min(ids[0], default=4) >= 4
    assert vocabulary.decode(ids) == [text]


@any_tokenizer
@pytest.mark.parametrize("text", ["<pad>", "a <eos> b", "<bos><sep>"])
def test_special_names_in_a_text_are_characters(tokenizer, text):
    vocabulary = Vocabulary(tokenizer)
    assert vocabulary.decode(vocabulary.encode([text])) == [text]


@any_tokenizer
@pytest.mark.parametrize("unknown", ["é", "\n", "’", "中"])
def test_an_unknown_character_is_named(tokenizer, unknown):
    with pytest.raises(ValueError, match="is not known to the tokenizer") as caught:
        Vocabulary(tokenizer).encode(["fine", f"caf{unknown} au lait"])
    assert repr(unknown) in str(caught.value)


def test_characters_are_one_token_each():
    tokenizer = character_tokenizer()
    assert tokenizer.get_vocab_size() == 4 + 95
    assert tokenizer.encode("a bc").tokens == ["a", " ", "b", "c"]


def test_numbers_are_one_token_each():
    tokenizer = number_tokenizer()
    assert tokenizer.encode("0 7 99").ids == [4, 11, 103]
    assert Vocabulary(tokenizer).decode([[11, 4]]) == ["7 0"]


@pytest.mark.parametrize("text", ["3 100", "3 x", "<pad>", "3 <eos>", "-1"])
def test_only_numbers_are_known(text):
    with pytest.raises(ValueError, match="is not known"):
        Vocabulary(number_tokenizer()).encode([text])


def test_bpe_merges_what_is_frequent_within_words():
    tokenizer = bpe_tokenizer(TEXTS, 120)
    assert tokenizer.get_vocab_size() == 120
    assert " the" in tokenizer.get_vocab()
    assert len(tokenizer.encode(TEXTS[0]).ids) < len(TEXTS[0])
    assert all(" " not in token[1:] for token in tokenizer.get_vocab() if token not in ("<pad>",))
    assert tokenizer.to_str() == bpe_tokenizer(TEXTS, 120).to_str()


def test_bpe_must_have_room_for_characters():
    with pytest.raises(ValueError, match=r"size=50 .* 99"):
        bpe_tokenizer(TEXTS, 50)


@any_tokenizer
def test_a_tokenizer_survives_its_json(tokenizer):
    copy = Tokenizer.from_str(tokenizer.to_str())
    text = string.printable.strip() + " the <pad>"
    assert copy.encode(text).ids == tokenizer.encode(text).ids
    with pytest.raises(ValueError, match="é"):
        Vocabulary(copy).encode(["é"])


def test_bpe_may_be_asked_for_more_tokens_than_there_are():
    """Room is not taken for them: at a size of 10**9 that would end the process."""
    enough = bpe_tokenizer(TEXTS, 5_000)
    assert bpe_tokenizer(TEXTS, 10**30).to_str() == enough.to_str()
    assert 120 < enough.get_vocab_size() < 300
    assert bpe_tokenizer([], 512).get_vocab_size() == 99


@pytest.mark.parametrize("numbers", [0, -1])
def test_numbers_must_be_some(numbers):
    with pytest.raises(ValueError, match=f"numbers={numbers}"):
        number_tokenizer(numbers)


def test_the_size_of_a_vocabulary_is_known_before_its_tokenizer():
    for kind in (CharacterTokenizer(), BPETokenizer(120)):
        assert kind.train(TEXTS).get_vocab_size() == kind.vocab_size
    assert CharacterTokenizer().train([]).to_str() == character_tokenizer().to_str()
    assert BPETokenizer(120).train(TEXTS).to_str() == bpe_tokenizer(TEXTS, 120).to_str()


def test_text_that_is_too_short_for_a_vocabulary_is_named():
    with pytest.raises(ValueError, match=r"too short for vocab_size=512: byte-pair encoding found 99 tokens"):
        BPETokenizer(512).train([])
    with pytest.raises(ValueError, match="vocab_size=98 must be"):
        BPETokenizer(98)


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


@given(text=ANY_TEXT)
def test_bytes_read_every_text(text):
    vocabulary = Vocabulary(BYTES)
    ids = vocabulary.encode([text])
    assert min(ids[0], default=4) >= 4
    assert vocabulary.decode(ids) == [text]


@given(text=ANY_TEXT)
def test_tokens_of_bytes_write_as_many_characters_as_the_text_has(text):
    vocabulary = Vocabulary(BYTES)
    assert vocabulary.characters()[vocabulary.encode([text])[0]].sum() == len(text)


@any_tokenizer
@given(text=st.text(ALPHABET, max_size=50))
def test_tokens_write_as_many_characters_as_the_text_has(tokenizer, text):
    vocabulary = Vocabulary(tokenizer)
    assert vocabulary.characters()[vocabulary.encode([text])[0]].sum() == len(text)
    assert vocabulary.characters()[:4].tolist() == [0, 0, 0, 0]


def test_bytes_are_the_tokens_of_gpt2():
    """260 tokens without a merge; text is split into the words of Hugging Face's own byte-level tokenizer."""
    from tokenizers.implementations import ByteLevelBPETokenizer as Theirs

    texts = ["naïve 中文 words, and more words", "words don't split  the way  words do"] * 20
    theirs = Theirs()
    theirs.train_from_iterator(
        texts, vocab_size=275, special_tokens=["<pad>", "<bos>", "<eos>", "<sep>"], min_frequency=0
    )
    ours = ByteLevelBPETokenizer(275).train(texts)
    for text in texts[:2]:
        assert ours.encode(text).tokens == theirs.encode(text).tokens
    assert ByteLevelBPETokenizer(260).train([]).get_vocab_size() == 260


def test_characters_are_those_of_the_text():
    kind = LearnedCharacterTokenizer()
    assert kind.vocab_size is None
    tokenizer = kind.train(["naïve", "中\n"])
    assert tokenizer.get_vocab_size() == 4 + 7
    assert Vocabulary(tokenizer).decode(Vocabulary(tokenizer).encode(["ven\n中"])) == ["ven\n中"]
    assert CharacterTokenizer("abca").vocab_size == CharacterTokenizer("abca").train().get_vocab_size() == 7


def test_characters_must_be_some():
    with pytest.raises(ValueError, match="alphabet is empty"):
        CharacterTokenizer("")
    with pytest.raises(ValueError, match="learn characters from is empty"):
        LearnedCharacterTokenizer().train(["", ""])
    with pytest.raises(ValueError, match="vocab_size=259 must be"):
        ByteLevelBPETokenizer(259)
    with pytest.raises(ValueError, match="too short for vocab_size=400"):
        ByteLevelBPETokenizer(400).train(["a few words"])
