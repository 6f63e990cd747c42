"""Numbers as people write them, put between the words of a text: 5, 9:30, 3.14, 1,000, 50%, 2024-07-31.

A corpus of manuals holds few, and a model that seldom copied digits loses some of them.
"""

import numpy as np

SHAPES = (
    "#",
    "##",
    "###",
    "####",
    "#:##",
    "##:##",
    "#.##",
    "##.#",
    "#,###",
    "##%",
    "$##",
    "#/##",
    "##-##",
    "####-##-##",
)


def with_number(text: str, rng: np.random.Generator) -> str:
    """The text with one more number, before any of its words or after the last; its words stay in their order."""
    pieces = text.split(" ")
    pieces.insert(int(rng.integers(len(pieces) + 1)), number(rng))
    return " ".join(pieces)


def number(rng: np.random.Generator) -> str:
    """A number of one of `SHAPES`, each # a random digit."""
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    digits = iter(rng.integers(10, size=shape.count("#")).tolist())
    return "".join(str(next(digits)) if sign == "#" else sign for sign in shape)
