"""The rules against cases written by hand, and against what must hold for any text."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.pig_latin_rules import translate, translate_word

VOWELS = "aeiou"
letters = st.text(string.ascii_lowercase, min_size=1, max_size=12)
printable = st.text(string.ascii_letters + string.digits + string.punctuation + " ", max_size=60)


@pytest.mark.parametrize(
    ("english", "pig_latin"),
    [
        # vowels
        ("apple", "appleway"),
        ("I", "Iway"),
        ("a", "away"),
        ("under", "underway"),
        ("Every", "Everyway"),
        # consonants and clusters
        ("dog", "ogday"),
        ("string", "ingstray"),
        ("school", "oolschay"),
        ("through", "oughthray"),
        # qu
        ("quick", "ickquay"),
        ("Queen", "Eenquay"),
        ("squeal", "ealsquay"),
        ("equal", "equalway"),
        ("qat", "atqay"),
        ("Iraq", "Iraqway"),
        ("qu", "quay"),
        ("quba", "baquay"),
        # y
        ("yellow", "ellowyay"),
        ("you", "ouyay"),
        ("my", "ymay"),
        ("rhythm", "ythmrhay"),
        ("style", "ylestay"),
        ("Yttrium", "Iumyttray"),
        ("day", "ayday"),
        # no vowels
        ("hmm", "hmmay"),
        ("Mr", "Mray"),
        ("x", "xay"),
        # capitals
        ("Latin", "Atinlay"),
        ("The", "Ethay"),
        ("NASA", "ASANAY"),
        ("TV", "TVAY"),
        ("OK", "OKWAY"),
        ("QUEUE", "EUEQUAY"),
        ("McCoy", "Oymccay"),
        ("PhD", "Phday"),
        ("iPhone", "iPhoneway"),
        ("macOS", "acOSmay"),
        # apostrophes
        ("don't", "on'tday"),
        ("I'm", "I'mway"),
        ("dog's", "og'sday"),
        ("TV's", "Tv'say"),
        ("O'Reilly", "O'Reillyway"),
        ("D'Artagnan", "Artagnand'ay"),
        ("'tis", "'istay"),
        ("the dogs' bowls", "ethay ogsday' owlsbay"),
        # hyphens, numbers, names of things in code
        ("well-known", "ellway-ownknay"),
        ("Jean-Luc", "Eanjay-Uclay"),
        ("42", "42"),
        ("3.14", "3.14"),
        ("utf8", "utf8"),
        ("2nd", "2nd"),
        ("__init__", "__init__"),
        ("café", "café"),
        # lines
        ("Hello, World!", "Ellohay, Orldway!"),
        ('He said: "Stop."', 'Ehay aidsay: "Opstay."'),
        ("the quick brown fox", "ethay ickquay ownbray oxfay"),
        ("(see below)  twice", "(eesay elowbay)  icetway"),
        ("", ""),
        ("?!", "?!"),
    ],
)
def test_cases_by_hand(english, pig_latin):
    assert translate(english) == pig_latin


@given(printable)
def test_what_stands_between_words_stays(text):
    between = re.compile(r"[A-Za-z']+")
    if not re.search(r"[\w]*[\d_]|'", text):
        assert between.split(translate(text)) == between.split(text)


@given(printable)
def test_numbers_of_words_are_kept(text):
    assert len(translate(text).split()) == len(text.split())


@given(letters)
def test_letters_are_moved_not_changed(word):
    answer = translate_word(word)
    ending = "way" if word[0] in VOWELS else "ay"
    assert answer.endswith(ending)
    rest = answer.removesuffix(ending)
    assert any(word[i:] + word[:i] == rest for i in range(len(word)))


@given(letters)
def test_the_first_letter_is_a_vowel_unless_there_is_none(word):
    """Or unless "qu" was moved, which takes the first vowel with it: quba -> baquay."""
    if set(word[1:]) & set("aeioy") or word[0] in VOWELS:
        answer = translate_word(word)
        assert answer[0] in VOWELS + "y" or answer.endswith("quay")


@given(letters)
def test_capitals_do_not_change_the_letters(word):
    assert translate_word(word.upper()).lower() == translate_word(word.capitalize()).lower() == translate_word(word)
    assert translate_word(word.capitalize())[0].isupper()


@given(st.lists(letters, min_size=1, max_size=5))
def test_a_line_is_its_words(words):
    for separator in (" ", "-", ", ", " (", "' "):
        assert translate(separator.join(words)) == separator.join(translate_word(word) for word in words)
