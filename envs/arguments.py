"""Types for argparse, whose errors name what was given, and the seeds that commands take."""

import argparse
from collections.abc import Callable
from pathlib import Path

LARGEST_COUNT = 1_000_000
LARGEST_SEED = 2**32 - 1  # of the paper's own start states
FIRST_RECORDING_SEED = 1_000_000  # far from those of validation (0 to 999) and test (100000 and up)


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        digits = text.removeprefix("-")
        if not (digits.isdecimal() and len(digits) < 20 and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text[:40]} is not a whole number from {low} to {high}")
        return int(text)

    return parse


one_or_more = whole_number(1, LARGEST_COUNT)
start_seed = whole_number(0, LARGEST_SEED)
processes = whole_number(1, 1024)


def seeds_from(first: int, count: int) -> range:
    """`count` seeds of start states, from `first` on."""
    if first + count - 1 > LARGEST_SEED:
        raise ValueError(f"{count} seeds from {first} on go past the last one, {LARGEST_SEED}; begin lower")
    return range(first, first + count)


def parquet_file(text: str) -> Path:
    """The path of a Parquet file, which need not exist yet."""
    if not text.endswith(".parquet"):
        raise argparse.ArgumentTypeError(f"{text} must end in .parquet")
    return Path(text)
