import re

import numpy as np

from datamodules.numbers import SHAPES, number, with_number
from datamodules.pig_latin_rules import translate


def test_a_number_of_every_shape_is_met():
    rng = np.random.default_rng(0)
    seen = {re.sub(r"\d", "#", number(rng)) for _ in range(1000)}
    assert seen == set(SHAPES)


def test_every_digit_is_met_and_pig_latin_keeps_all():
    rng = np.random.default_rng(0)
    seen = [number(rng) for _ in range(500)]
    assert set("0123456789") <= set("".join(seen))
    assert [translate(one) for one in seen] == seen


def test_the_words_stay_and_one_number_is_new_at_any_place():
    rng = np.random.default_rng(0)
    places = set()
    for _ in range(300):
        pieces = with_number("one two three", rng).split(" ")
        new = [i for i, piece in enumerate(pieces) if any(map(str.isdigit, piece))]
        assert len(new) == 1
        places.update(new)
        assert [piece for i, piece in enumerate(pieces) if i not in new] == ["one", "two", "three"]
    assert places == {0, 1, 2, 3}
