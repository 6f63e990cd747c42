"""Fields of a request: what they take, and the one line that refuses the rest."""

import base64
import json

import numpy as np
import pytest

from app.request import Request


def request(**fields):
    return Request(json.dumps({"do": "it", **fields}))


def test_fields_are_read():
    given = request(count=3, share=0.5, at=[1, 2.5], who="me", yes=True, text="häh", none=None)
    assert (given.do, given.whole("count", 0, 3), given.number("share", "[0, 1)")) == ("it", 3, 0.5)
    assert (given.numbers("at", 2), given.choice("who", {"me": 1}), given.text("text", 3)) == ([1, 2.5], "me", "häh")
    assert (given.yes("yes"), given.yes("no"), given.yes("count")) == (True, False, False)
    assert ("count" in given, "none" in given, "no" in given) == (True, False, False)


def test_pixels_are_read():
    image = np.random.default_rng(0).integers(0, 256, (2, 3, 4), np.uint8)
    given = request(image=base64.b64encode(image.tobytes()).decode())
    assert (given.pixels("image", (2, 3, 4)) == image).all()
    with pytest.raises(ValueError, match="24 bytes"):
        given.pixels("image", (2, 3, 5))


@pytest.mark.parametrize(
    ("field", "read"),
    [
        ({"x": 4}, lambda given: given.whole("x", 0, 3)),
        ({"x": True}, lambda given: given.whole("x", 0, 3)),
        ({"x": 1.0}, lambda given: given.whole("x", 0, 3)),
        ({"x": "1"}, lambda given: given.whole("x", 0, 3)),
        ({"x": None}, lambda given: given.whole("x", 0, 3)),
        ({}, lambda given: given.whole("x", 0, 3)),
        ({"x": True}, lambda given: given.number("x", "[0, 3]")),
        ({"x": 1e400}, lambda given: given.number("x", "[0, 3]")),
        ({"x": [1]}, lambda given: given.number("x", "[0, 3]")),
        ({"x": [1, 2, 3]}, lambda given: given.numbers("x", 2)),
        ({"x": {"0": 1, "1": 2}}, lambda given: given.numbers("x", 2)),
        ({"x": [1, True]}, lambda given: given.numbers("x", 2)),
        ({"x": "b" * 100_000}, lambda given: given.choice("x", ["a"])),
        ({"x": {}}, lambda given: given.choice("x", ["a"])),
        ({"x": "aaaa"}, lambda given: given.text("x", 3)),
        ({"x": 3}, lambda given: given.text("x", 3)),
        ({"x": "*"}, lambda given: given.pixels("x", (1,))),
        ({"x": "äö"}, lambda given: given.pixels("x", (1,))),
        ({"x": 3}, lambda given: given.pixels("x", (1,))),
        ({"x": "AAAA"}, lambda given: given.pixels("x", (1,))),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(field, read):
    text = json.dumps({"do": "it", **field}).replace("Infinity", "1e400")
    with pytest.raises(ValueError, match="x") as refused:
        read(Request(text))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400
