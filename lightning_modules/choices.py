"""Words of a config as what they stand for."""

from collections.abc import Mapping
from typing import TypeVar

Choice = TypeVar("Choice")


def choose(name: str, value: str, choices: Mapping[str, Choice]) -> Choice:
    """What the argument `name` means by `value`; ValueError with all choices where that is none of them."""
    if value not in choices:
        raise ValueError(f"{name}={value!r} is unknown; use one of {', '.join(choices)}")
    return choices[value]
