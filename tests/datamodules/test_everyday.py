import pytest

from datamodules.everyday import KINDS, everyday_sentences

ENDS = {"statement": ".", "question": "?", "exclamation": "!"}


def test_each_kind_has_its_end_and_takes_the_words_in_their_order():
    found = everyday_sentences(["zebra", "yak", "xylem"], 25)
    assert list(found) == [*ENDS, "no_end"]
    for kind, lines in found.items():
        assert len(lines) == 25
        assert all(
            line[-1] == ENDS[kind] if kind in ENDS else line[-1] not in ".?!" for line in (x.rstrip('"') for x in lines)
        )
        assert all("{" not in line for line in lines)
    assert found["statement"][:2] == ["I left my zebra at home.", "We had yak and xylem for lunch."]


def test_every_sentence_has_room_for_a_word():
    assert all("{}" in text for templates in KINDS.values() for text in templates)


def test_without_words_there_is_nothing_to_say():
    with pytest.raises(ValueError, match="at least one word"):
        everyday_sentences([], 1)
