"""Numbers of a constructor, each in its range or refused in one line."""

from collections.abc import Sequence

LARGEST = 2**31 - 1  # entries along one axis: larger is a slip, and no memory would hold it


def sizes(**numbers: int | Sequence[int]) -> None:
    """Raises ValueError that names the first of the numbers, or of sequences of them, that is no size of anything."""
    for name, value in numbers.items():
        if not all(1 <= size <= LARGEST for size in (value if isinstance(value, Sequence) else [value])):
            raise ValueError(f"{name}={value} must be at least 1 and at most {LARGEST}")


def at_least(least: float, **numbers: float) -> None:
    """Raises ValueError that names the first of the numbers that is less, or is no number."""
    for name, value in numbers.items():
        if not value >= least:
            raise ValueError(f"{name}={value} must be at least {least}")


def above_zero(**numbers: float) -> None:
    """Raises ValueError that names the first of the numbers that is 0, less, or no number."""
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(f"{name}={value} must be greater than 0")


def shares(**numbers: float) -> None:
    """Raises ValueError that names the first of the numbers that is no share of something which leaves the rest."""
    for name, value in numbers.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name}={value} must be at least 0 and less than 1: it is a share")
