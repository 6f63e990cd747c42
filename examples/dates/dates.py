"""Dates as people write them, and as ISO 8601 does: pairs of texts that follow a rule, to learn it from.

    python examples/dates/dates.py dates.tsv
    python train.py fit --config examples/dates/dates.yaml --data.source dates.tsv

    the third of March, nineteen eighty-four     1984-03-03
    Wed 12 Jan 2033                              2033-01-12

Dates are of the years 1900 to 2099.
"""

import argparse
import random
from datetime import date, timedelta
from pathlib import Path

FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)
ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
ONES += ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
ORDINALS |= {"twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth"}


def in_words(number: int) -> str:
    """A number from 0 to 99: forty-two."""
    if number < len(ONES):
        return ONES[number]
    tens, ones = divmod(number, 10)
    return TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")


def ordinal_in_words(number: int) -> str:
    """From 1 to 99: forty-second."""
    start, hyphen, last = in_words(number).rpartition("-")
    return start + hyphen + ORDINALS.get(last, f"{last}th")


def ordinal(number: int) -> str:
    """From 1 to 99: 42nd."""
    ending = "th" if number // 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def year_in_words(year: int) -> str:
    """From 1900 to 2099: nineteen oh seven, two thousand and seven, twenty forty-two."""
    century, rest = divmod(year, 100)
    if year == 2000:
        return "two thousand"
    if 2000 < year < 2010:
        return f"two thousand and {in_words(rest)}"
    if not rest:
        return f"{in_words(century)} hundred"
    return f"{in_words(century)} {f'oh {in_words(rest)}' if rest < 10 else in_words(rest)}"


def written(day: date, rng: random.Random) -> str:
    """A date in one of several ways."""
    year = rng.choice([year_in_words(day.year), str(day.year)])
    return rng.choice(
        [
            f"the {ordinal_in_words(day.day)} of {day:%B}, {year}",
            f"{day:%B} the {ordinal_in_words(day.day)}, {year}",
            f"{day:%A}, {day:%B} {ordinal(day.day)}, {year}",
            f"{day:%A} the {ordinal(day.day)} of {day:%B} {year}",
            f"{day.day} {day:%B} {year}",
            f"{day:%a} {day.day} {day:%b} {year}",
        ]
    )


def pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Different dates in a random order: (as it is written, ISO 8601). Raises ValueError for more than there are."""
    rng = random.Random(seed)
    days = rng.sample(range((LAST - FIRST).days + 1), count)
    dates = [FIRST + timedelta(days=number) for number in days]
    return [(written(day, rng), day.isoformat()) for day in dates]


def main() -> None:
    """Write a file of pairs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the file to write, .tsv")
    parser.add_argument("--count", type=int, default=40_000, help="how many dates, of the 73,049 there are")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = pairs(options.count, options.seed)
    options.out.write_text("".join(f"{source}\t{target}\n" for source, target in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
