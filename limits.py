"""What a number may be, and the one line that refuses it: its name, what was given, what is allowed."""

from numbers import Integral, Real

LARGEST = 2**31 - 1  # more entries along one axis, or steps of one run, are a typing error


def whole(low: int = 1, high: int = LARGEST, /, **values: int) -> None:
    """ValueError unless every value is a whole number from `low` to `high`; True and False are not.

    >>> whole(width=64, heads=4)
    >>> whole(0, pad_after=7)
    """
    for name, value in values.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"{name}={value!r} must be a whole number of at least {low} and at most {high}")


def number(interval: str, /, **values: float) -> None:
    """ValueError unless every value lies in an interval: "(" and ")" exclude the end; NaN is in no interval.

    >>> number("[0, 1)", dropout=0.1)
    >>> number("[0, inf)", lr=1e-3, weight_decay=0.01)
    """
    low, high = map(float, interval[1:-1].split(","))
    for name, value in values.items():
        inside = isinstance(value, Real) and low <= value <= high
        if not inside or (value == low and interval[0] == "(") or (value == high and interval[-1] == ")"):
            raise ValueError(f"{name}={value!r} must be a number in {interval}")
