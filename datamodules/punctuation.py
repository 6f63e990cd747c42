"""Other punctuation for a text: how sentences end, what stands around words, and what stands between them.

A corpus of manuals ends its sentences with full stops. What is seldom or never seen in training, an exclamation mark
or a bracket, is not translated well; here all of ASCII's punctuation is met.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

ENDS = ("", ".", "!", "?", "", ".", "!", "?", ",", ":", ";", "...", "!!", "?!", ".)", '."', '!"', '?"')
PAIRS = ('""', "''", "()", "[]", "{}", "<>", "**", "``", ("**", "**"), ("~", "~"), "__")
JOINTS = (
    ", ",
    "; ",
    ": ",
    ". ",
    "! ",
    "? ",
    "... ",
    " - ",
    "-",
    "--",
    "/",
    " & ",
    " + ",
    " = ",
    " | ",
    " % ",
    "@",
    "#",
    "_",
)
SIGNS = ("$", "#", "@", "%", "^", "\\", "~", "*", "&", "+")  # before a word
END = re.compile(r"[^\w\s]*$")
ENDED, WRAPPED, JOINED, SIGNED = 0.6, 0.2, 0.2, 0.05  # shares of texts


def punctuated(text: str, rng: np.random.Generator) -> str:
    """The text with another end, a pair around some of its words, another joint between two, or a sign before one.

    The words stay as they are, in their order; only an underscore becomes part of those that it touches. Each of the
    four happens by chance, so a text may also come back unchanged.
    """
    ended, wrapped, joined, signed = (rng.random(4) < (ENDED, WRAPPED, JOINED, SIGNED)).tolist()
    if ended:
        text = END.sub("", text) + _one_of(ENDS, rng)
    pieces = text.split(" ")
    if wrapped:
        first, last = sorted(rng.integers(len(pieces), size=2).tolist())
        left, right = _one_of(PAIRS, rng)
        pieces[first], pieces[last] = left + pieces[first], pieces[last] + right
    if signed:
        place = int(rng.integers(len(pieces)))
        pieces[place] = _one_of(SIGNS, rng) + pieces[place]
    text = " ".join(pieces)
    if joined and len(pieces) > 1:
        place = int(rng.integers(1, len(pieces)))
        text = " ".join(pieces[:place]) + _one_of(JOINTS, rng) + " ".join(pieces[place:])
    return text


def _one_of(choices: Sequence[Any], rng: np.random.Generator) -> Any:
    return choices[int(rng.integers(len(choices)))]
