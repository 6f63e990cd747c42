"""What the commands of this folder take: types for argparse, whose errors name what was given."""

import argparse
from pathlib import Path


def one_or_more(text: str) -> int:
    """A count."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return int(text)


def parquet_file(text: str) -> Path:
    """The path of recordings, read or to be written."""
    if not text.endswith(".parquet"):
        raise argparse.ArgumentTypeError(f"{text} must end in .parquet")
    return Path(text)
