"""What a page asks for: one JSON object, whose fields are checked where they are read."""

import base64
import binascii
import json
from collections.abc import Collection
from typing import Any, NoReturn

import numpy as np

import limits

LONGEST = 2**18  # characters of a request
LONGEST_ANSWER_TO = 200  # characters of what was given that an error repeats


class Request:
    """A request `{"do": ..., ...}`. Every method raises ValueError, in one line, for a field that is missing or wrong.

    Args:
        text: as it came; None for bytes, which no page of ours sends.
    """

    def __init__(self, text: str | None):
        if text is None:
            raise ValueError("a request is JSON text; got bytes")
        if len(text) > LONGEST:
            raise ValueError(f"a request has at most {LONGEST} characters; got {len(text)}")
        try:
            fields = json.loads(text, parse_constant=_refuse)
        except RecursionError:
            raise ValueError("a request is a flat JSON object; this one is too deeply nested") from None
        except ValueError as error:
            raise ValueError(f"a request is a JSON object: {error}") from None
        if not isinstance(fields, dict) or not isinstance(fields.get("do"), str):
            raise ValueError('a request is a JSON object that says what to do: {"do": "...", ...}')
        self._fields: dict[str, Any] = fields
        self.do: str = fields["do"]

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        value = self._given(name)
        limits.whole(low, high, **{name: value})
        return int(value)

    def number(self, name: str, interval: str) -> float:
        """A number in an interval, as in `limits.number`."""
        value = self._given(name)
        if isinstance(value, bool):
            raise ValueError(f"{name}={value!r} must be a number in {interval}")
        limits.number(interval, **{name: value})
        return float(value)

    def numbers(self, name: str, count: int) -> list[float]:
        """`count` finite numbers."""
        values = self._given(name)
        if not isinstance(values, list) or len(values) != count or not all(map(_finite, values)):
            raise ValueError(f"{name} must be {count} finite numbers; got {_short(values)}")
        return [float(value) for value in values]

    def choice(self, name: str, choices: Collection[str]) -> str:
        """One of these."""
        value = self._given(name)
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{name}={_short(value)} is unknown; choose from {', '.join(choices)}")
        return value

    def yes(self, name: str) -> bool:
        """Whether the field is true; one that is missing is not."""
        return self._fields.get(name) is True

    def text(self, name: str, longest: int) -> str:
        """A text of at most so many characters."""
        value = self._given(name)
        if not isinstance(value, str) or len(value) > longest:
            raise ValueError(f"{name} must be a text of at most {longest} characters; got {_short(value)}")
        return value

    def pixels(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """An image of exactly this shape, uint8, which came as the base64 of its bytes."""
        value = self._given(name)
        try:
            given = np.frombuffer(base64.b64decode(value, validate=True), np.uint8)
        except (TypeError, ValueError, binascii.Error):
            raise ValueError(f"{name} must be the base64 of an image's bytes; got {_short(value)}") from None
        if given.size != np.prod(shape):
            raise ValueError(f"{name} must be an image of {' x '.join(map(str, shape))} bytes; got {given.size} bytes")
        return given.reshape(shape)

    def _given(self, name: str) -> Any:
        if name not in self._fields:
            raise ValueError(f"{self.do} needs {name}")
        return self._fields[name]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _short(value: Any) -> str:
    return " ".join(repr(value)[:LONGEST_ANSWER_TO].split())
