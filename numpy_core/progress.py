"""A progress bar for a terminal; elsewhere, only finished lines."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def progress(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Pass `items` on, drawing how many of `total` are done."""
    drawn = sys.stderr.isatty()
    for done, item in enumerate(items, 1):
        yield item
        if drawn and (done == total or done % max(1, total // 40) == 0):
            filled = 30 * done // max(1, total)
            print(
                f"\r{label} [{'#' * filled}{'.' * (30 - filled)}] {done}/{total}", end="", file=sys.stderr, flush=True
            )
    if drawn:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
