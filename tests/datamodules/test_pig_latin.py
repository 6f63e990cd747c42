import os
import re
from functools import partial

import lightning as L
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from datamodules.pairs import Pairs
from datamodules.pig_latin import PigLatin, part, side, unseen, words_of
from datamodules.pig_latin_rules import translate
from datamodules.pseudo_words import PseudoWords, dressed
from datamodules.sentences import read_text, sentences
from datamodules.tokenization import BPETokenizer, CharacterTokenizer
from lightning_modules.seq2seq import Seq2Seq
from networks.transformer import EncoderDecoder
from networks.vocabulary import Vocabulary

ENGLISH = re.findall(
    r"\w+",
    "apple bridge candle desert engine forest garden hammer island jacket kettle ladder mirror needle orange pencil "
    "quarry ribbon saddle tunnel umbrella valley window yellow zipper anchor basket cotton dragon eagle feather goblet",
)


@pytest.fixture(scope="module")
def word_file(tmp_path_factory) -> str:
    """A list of 2,000 made-up words, names and possessives."""
    path = tmp_path_factory.mktemp("words") / "list.txt"
    words = [a + b + c for a in "bcdfgst" for b in ("a", "qui", "ro", "Y") for c in ("nd", "x", "le", "rm", "'s")]
    path.write_text("\n".join([*words, "Zürich", *(word.capitalize() + "ton" for word in words)]))
    return str(path)


@pytest.fixture(scope="module")
def data(word_file) -> PigLatin:
    data = PigLatin(words=word_file, train_on_words=True, train_size=1000, batch_size=32)
    data.setup()
    return data


def texts(pairs: Pairs, tokenizer: Tokenizer, name: str = "source") -> list[str]:
    return Vocabulary(tokenizer).decode(getattr(pairs, name))


def spoken(lines: list[str]) -> set[str]:
    """Words as a reader sees them: letters and inner apostrophes, small, without 's. Not the code's own pattern."""
    runs = re.findall(r"(?<!\w)(?<!\w')[A-Za-z]+(?:'[A-Za-z]+)*(?!\w)", " ".join(lines))
    return {re.sub("'s$", "", run.lower()) for run in runs}


def test_no_example_of_training_holds_a_test_or_validation_word(data):
    held_out = spoken(
        [text for pairs in data.test_pairs[:2] for text in texts(pairs, data.tokenizer)]
        + [text for text in texts(data.val_pairs, data.tokenizer) if " " not in text]
    )
    assert len(held_out) > 400
    for epoch in (0, 1, 2, 1000):
        assert not held_out & spoken(texts(data.train_pairs(epoch), data.tokenizer))


def test_no_sentence_of_validation_or_test_is_trained_on(data):
    held_out = {text for pairs in (data.val_pairs, data.test_pairs[2]) for text in texts(pairs, data.tokenizer)}
    assert not held_out & set(data.train_sentences)
    assert not held_out & set(data.train_texts(0))


def test_test_sets_are_what_their_names_say(data):
    everyday = ["everyday_statement", "everyday_question", "everyday_exclamation", "everyday_no_end"]
    assert data.test_names == ["unseen_word_accuracy", "unseen_list_word_accuracy", "sentence_exact_match", *everyday]
    corpus = spoken(sentences(read_text("pydoc")))
    words, listed, held_out, *typed = (texts(pairs, data.tokenizer) for pairs in data.test_pairs)
    assert len(words) > 300
    assert spoken(words) <= corpus
    assert not spoken(listed) & corpus
    assert all(" " not in word for word in words + listed)
    assert len(held_out) > 100
    assert all(len(sentence) <= 120 for sentence in held_out)
    for lines, end in zip(typed, (r"[.]", r"[?]", "!", r"[^.?!]"), strict=True):
        assert len(lines) == 200
        assert all(re.fullmatch(rf".*{end}[\"']?", line) for line in lines)
        assert all(spoken(listed) & spoken([line]) for line in lines)  # a word that is unseen


def test_a_word_is_on_one_side_whatever_its_dress():
    for word in ("object", "Python", "don't", "it"):
        assert side(word) == side(word.upper()) == side(word.capitalize()) == side(word + "'s") == side(word + "'S")
    words = [f"word{i}" for i in range(10_000)]
    shares = {name: sum(side(word) == name for word in words) / len(words) for name in ("train", "val", "test")}
    # five standard deviations of a share of 10,000 are at most 0.022
    assert shares == pytest.approx({"train": 0.75, "val": 0.05, "test": 0.20}, abs=0.022)


def test_targets_are_the_translated_sources(data):
    for pairs in (data.train_pairs(0), data.val_pairs, *data.test_pairs):
        sources = texts(pairs, data.tokenizer)
        assert texts(pairs, data.tokenizer, "target") == [translate(text) for text in sources]
        assert max(map(len, sources)) <= 120


def test_every_epoch_is_another_one_and_each_is_the_same_again(data, word_file):
    again = PigLatin(words=word_file, train_on_words=True, train_size=1000, batch_size=32)
    again.setup()
    assert torch.equal(data.train_pairs(3).source, again.train_pairs(3).source)
    assert data.train_texts(3) != data.train_texts(4)


def test_the_sides_are_the_same_everywhere():
    sides = {
        "train": ["object", "python", "class", "sequence", "syzygy"],
        "val": ["the"],
        "test": ["of", "and", "Guido", "zebra", "quixotic", "banana"],
    }
    assert {word: side(word) for words in sides.values() for word in words} == {
        word: name for name, words in sides.items() for word in words
    }


def test_batches_hold_each_example_once_and_little_padding(data):
    batches = list(data.train_dataloader())
    assert len(batches) == 1000 // 32
    seen = [row[mask].tolist() for b in batches for row, mask in zip(b["source"], b["source_mask"], strict=True)]
    expected = [row[row != 0].tolist() for row in data.train_pairs(0).source[: 32 * (1000 // 32)]]
    assert sorted(seen) == sorted(expected)
    padding = 1 - sum(b["source_mask"].sum() for b in batches) / sum(b["source"].numel() for b in batches)
    assert padding < 0.15


def test_without_a_list_everyday_sentences_are_about_words_of_the_corpus(monkeypatch):
    monkeypatch.delenv("FIRSTLIGHT_DATA", raising=False)
    data = PigLatin(train_size=100)
    data.setup()
    assert data.test_names[:2] == ["unseen_word_accuracy", "sentence_exact_match"]
    unseen_words = set(texts(data.test_pairs[0], data.tokenizer))
    assert all(unseen_words & spoken([line]) for line in texts(data.test_pairs[2], data.tokenizer))


def test_five_thousand_words_of_the_real_list():
    if not os.path.isdir(os.path.join(os.environ.get("FIRSTLIGHT_DATA", "-"), "words")):
        pytest.skip("FIRSTLIGHT_DATA names no folder with words/")
    data = PigLatin(train_size=100)
    data.setup()
    assert len(data.test_pairs[1]) == 5000
    assert len(set(texts(data.test_pairs[1], data.tokenizer))) == 5000


def test_any_text_file_may_be_the_source(tmp_path, monkeypatch):
    monkeypatch.delenv("FIRSTLIGHT_DATA", raising=False)
    path = tmp_path / "book.txt"
    path.write_text("\n\n".join(f"This is the {name} line of a book." for name in map(str, range(200))))
    data = PigLatin(source=str(path), train_size=50, batch_size=8)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert batch["source"].shape[0] == 8


def test_bpe_learns_from_training_sentences_alone(monkeypatch):
    monkeypatch.delenv("FIRSTLIGHT_DATA", raising=False)
    data = PigLatin(tokenizer=BPETokenizer(512), train_size=50)
    assert data.vocab_size == 512
    data.setup()
    assert data.tokenizer.get_vocab_size() == 512
    assert texts(data.test_pairs[1], data.tokenizer, "target")[0] == translate(
        texts(data.test_pairs[1], data.tokenizer)[0]
    )


def test_a_user_may_give_a_line():
    data = PigLatin(text="the quick brown fox")
    data.setup()
    (batch,) = data.predict_dataloader()
    assert Vocabulary(data.tokenizer).decode(batch["target"]) == ["ethay ickquay ownbray oxfay"]


def test_typographic_quotes_and_dashes_are_read_as_in_training():
    data = PigLatin(text="“Don’t – go…”\xa0he said")
    (batch,) = data.predict_dataloader()
    assert Vocabulary(data.tokenizer).decode(batch["source"]) == ['"Don\'t - go..." he said']


@pytest.mark.parametrize("tokenizer", [CharacterTokenizer(), BPETokenizer(120)])
def test_to_translate_a_line_neither_corpus_nor_list_is_read(tokenizer, tmp_path, monkeypatch):
    """The tokenizer of characters is always the same; one that was learned comes with the weights."""
    monkeypatch.delenv("FIRSTLIGHT_DATA", raising=False)
    module = Seq2Seq(tokenizer.vocab_size, partial(EncoderDecoder, width=16, depth=1, heads=2, max_length=160))
    module.vocabulary.adopt(tokenizer.train(ENGLISH))
    data = PigLatin(source=str(tmp_path / "none.txt"), words="none", tokenizer=tokenizer, text="the quick fox")
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    ((answer,),) = L.Trainer(accelerator="cpu", **quiet).predict(module, data)
    assert answer == module.eval().answer(["the quick fox"])[0]


def test_a_small_corpus_works_or_says_that_it_is_too_small(tmp_path, monkeypatch):
    monkeypatch.delenv("FIRSTLIGHT_DATA", raising=False)
    path = tmp_path / "book.txt"
    outcomes = set()
    for count in (0, 1, 2, 5, 32):
        path.write_text("\n\n".join(f"This sentence holds the {name} of them." for name in ENGLISH[:count]))
        data = PigLatin(source=str(path), train_size=8, batch_size=4)
        try:
            data.setup()
        except ValueError as error:
            assert re.search(f"holds {count} English sentences, too few to train on", str(error))  # noqa: PT017
            outcomes.add("too few")
        else:
            assert all(len(pairs) for pairs in [data.val_pairs, *data.test_pairs])
            assert len(data.train_pairs(0)) == 8
            outcomes.add("works")
    assert outcomes == {"too few", "works"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_length": 0}, "max_length=0 must be"),
        ({"max_length": 39}, "max_length=39 must be a whole number of at least 40"),
        ({"text": "\u200b"}, "is empty"),
        ({"text": "…" * 41}, "123 characters, max_length=120"),
        ({"text": ""}, "is empty"),
        ({"text": "   "}, "is empty"),
        ({"text": "long " * 30}, "150 characters, max_length=120"),
        ({"word_share": 1.5}, "word_share=1.5"),
        ({"pseudo_share": -0.1}, "pseudo_share=-0.1"),
    ],
)
def test_bad_input_is_named(given, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        PigLatin(**given)


def test_a_list_without_words_is_named(tmp_path):
    (tmp_path / "words.txt").write_text("42\n\ncafé\n")
    with pytest.raises(ValueError, match=r"words\.txt' holds no words"):
        PigLatin(words=str(tmp_path / "words.txt")).setup()


def test_what_cannot_be_had_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("FIRSTLIGHT_DATA", raising=False)
    with pytest.raises(ValueError, match=r"--data\.words"):
        PigLatin(train_on_words=True).setup()
    (tmp_path / "empty.txt").write_text("no sentence here")
    with pytest.raises(ValueError, match="holds 0 English sentences"):
        PigLatin(source=str(tmp_path / "empty.txt")).setup()
    data = PigLatin(text="café")
    data.setup()
    with pytest.raises(ValueError, match="'é'"):
        data.predict_dataloader()
    with pytest.raises(ValueError, match=r"--data\.text"):
        PigLatin().predict_dataloader()


def test_sentences_come_without_their_markup():
    text = """
Heading
*******

The *first* thing is that “quotes” are kept.  See the
second line [3].

* Bullets don’t show; their **sentences** do.

   code = here(1)

+----+
| It |
+----+

Call f(x) to see.  A line without an end
"""
    assert sentences(text) == [
        'The first thing is that "quotes" are kept.',
        "See the second line.",
        "Bullets don't show; their sentences do.",
    ]


def test_the_words_of_texts_are_those_that_change():
    assert words_of(["It's 42 well-known x86 __init__", "It's café"]) == ["It's", "known", "well"]


def test_unseen_words_are_of_the_list_alone():
    listed = [f"{a}{b}{c}" for a in "abcdefgh" for b in "aeiou" for c in "klmnoprst"]
    chosen = unseen(listed, listed[:100])
    assert chosen
    assert set(chosen) == {word for word in listed[100:] if side(word) == "test"}


def test_pseudo_words_have_the_statistics_of_words():
    rng = np.random.default_rng(0)
    drawn = PseudoWords(["aab"] * 5).chained(4000, rng)
    # Without the share of uniform letters every word starts with "aab": 0.95 ** 3 of them, and few of 1/26 each
    share = sum(word.startswith("aab") for word in drawn) / len(drawn)
    assert share == pytest.approx((0.95 + 0.05 / 26) ** 3, abs=0.03)
    assert max(map(len, drawn)) <= 20
    assert all(re.fullmatch(r"[a-z']*", word) for word in drawn)
    assert drawn != PseudoWords(["aab"]).chained(4000, rng)


def test_some_pseudo_words_are_short_some_repeat_themselves_and_some_hold_digits():
    rng = np.random.default_rng(0)
    drawn = PseudoWords(["abcdefgh"]).draw(10_000, rng)  # words that repeat nothing and hold eight letters
    assert max(map(len, drawn)) <= 20
    assert all(re.fullmatch(r"[a-z0-9']+", word) for word in drawn)
    assert {word for word in drawn if len(word) == 1} == set("abcdefghijklmnopqrstuvwxyz0123456789")
    numbered = [word for word in drawn if re.search(r"\d", word)]
    assert len(numbered) / len(drawn) == pytest.approx(0.06, abs=0.012)
    assert sum(word.isdigit() for word in numbered) / len(numbered) == pytest.approx(0.5, abs=0.1)
    as_given = sum(word == "abcdefgh" for word in drawn)
    # nine draws, eight letters and the end, each of which the uniform share may miss
    assert as_given / len(drawn) == pytest.approx(0.74 * (0.95 + 0.05 / 26) ** 9, abs=0.05)
    echoing = sum(re.search(r"(..).*\1", word) is not None for word in drawn)
    assert 0.07 < echoing / len(drawn) < 0.2


def test_words_are_dressed_in_their_shares():
    rng = np.random.default_rng(0)
    result = dressed(["word"] * 10_000, rng)
    shares = [
        sum(map(test, result)) / 10_000 for test in (str.isupper, str.istitle, lambda w: w.lower().endswith("'s"))
    ]
    assert shares[0] == pytest.approx(0.1, abs=0.02)
    assert any(word[0].islower() and word[1].isupper() for word in result)
    assert shares[2] == pytest.approx(0.1, abs=0.02)
    assert {word.lower().removesuffix("'s") for word in result} == {"word"}


def test_a_part_is_never_too_long():
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert len(part("one two three four five six seven eight nine", 20, 0.5, iter(["fresh"] * 20), rng)) <= 20
