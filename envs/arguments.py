"""Types for argparse, whose errors name what was given, and the seeds that commands take."""

import argparse
from collections.abc import Callable
from pathlib import Path

from envs.lerobot_dataset import check_place

LARGEST_COUNT = 1_000_000
LARGEST_SEED = 2**32 - 1  # of the paper's own start states
FIRST_RECORDING_SEED = 1_000_000  # far from those of validation (50000 to 50999) and test (100000 and up)


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


def recording(text: str) -> Path:
    """Where demonstrations go, which need not exist yet: a file that ends in .parquet, or a folder."""
    path = Path(text)
    wrong_end = path.suffix and path.suffix != ".parquet" and not path.is_dir()
    if wrong_end or not path.name:
        raise argparse.ArgumentTypeError(f"{text} must be a folder, or a file that ends in .parquet")
    if path.suffix != ".parquet":
        try:
            check_place(path)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return path


def megabytes(path: Path) -> float:
    """The size of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6
