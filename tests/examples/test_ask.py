import pytest

from datamodules.pig_latin_rules import translate
from examples import ask


def answer(capsys, *words: str) -> str:
    ask.main([*words])
    return capsys.readouterr().out.splitlines()[0]


def test_english_becomes_pig_latin(capsys):
    english = "the quick brown fox"
    assert answer(capsys, english) == f"{english} -> {translate(english)}"
    assert answer(capsys, *english.split(), "--model", "pig_latin_decoder") == f"{english} -> {translate(english)}"


@pytest.mark.parametrize("words", [["5", "3", "9", "3"], ["5, 3, 9, 3"], ["[5, 3, 9, 3]"]])
def test_a_list_is_sorted(words, capsys):
    assert answer(capsys, *words) == "5 3 9 3 -> 3 3 5 9"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["5", "100"], "'100' in '5 100' is not known"),
        (["5", "-3"], "'-3' in '5 -3' is not known"),
        (["  "], "a text to answer is empty"),
        (["日本"], "is not known to the tokenizer"),
        (["hello", "--model", "mnist_mlp"], "a SequenceModel is needed"),
        (["hello", "--model", "nothing"], "there are no weights nothing"),
        (["word " * 1000], "too long"),
        (["7 " * 1000], "too long"),
    ],
)
def test_mistakes_are_one_line(words, message, capsys):
    with pytest.raises(SystemExit) as caught:
        ask.main(words)
    assert caught.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert message in said[-1]
    assert said[-1].startswith("python -m examples.ask: error: ")


def test_what_is_a_list():
    assert ask.is_list("5 3 9")
    assert ask.is_list("[5, 3]")
    assert not ask.is_list("5 gold rings")
    assert not ask.is_list("")
