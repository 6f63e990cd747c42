import re
from datetime import date, datetime

import pytest

from examples.dates import dates


@pytest.mark.parametrize(
    ("number", "words", "ordinal", "digits"),
    [
        (1, "one", "first", "1st"),
        (2, "two", "second", "2nd"),
        (3, "three", "third", "3rd"),
        (11, "eleven", "eleventh", "11th"),
        (12, "twelve", "twelfth", "12th"),
        (20, "twenty", "twentieth", "20th"),
        (21, "twenty-one", "twenty-first", "21st"),
        (31, "thirty-one", "thirty-first", "31st"),
        (99, "ninety-nine", "ninety-ninth", "99th"),
    ],
)
def test_numbers(number, words, ordinal, digits):
    assert (dates.in_words(number), dates.ordinal_in_words(number), dates.ordinal(number)) == (words, ordinal, digits)


@pytest.mark.parametrize(
    ("year", "words"),
    [
        (1900, "nineteen hundred"),
        (1907, "nineteen oh seven"),
        (1984, "nineteen eighty-four"),
        (2000, "two thousand"),
        (2009, "two thousand and nine"),
        (2010, "twenty ten"),
        (2099, "twenty ninety-nine"),
    ],
)
def test_years(year, words):
    assert dates.year_in_words(year) == words


def test_what_is_written_in_digits_is_the_date():
    """As Python reads it: in half of the pairs, weekday included."""
    read = 0
    for source, target in dates.pairs(600):
        plain = re.sub(r"(?<=\d)(st|nd|rd|th)\b|,", "", source)
        for form in ("%A %B %d %Y", "%A the %d of %B %Y", "%d %B %Y", "%a %d %b %Y"):
            try:
                found = datetime.strptime(plain, form).date()
            except ValueError:
                continue
            assert found.isoformat() == target, source
            if form[1] in "aA":
                assert found.strftime(form[:2]) == plain.split()[0]
            read += 1
            break
    assert read > 120


def test_dates_are_different_and_the_same_each_time():
    rows = dates.pairs(5_000)
    assert len({target for _, target in rows}) == 5_000
    assert all(dates.FIRST <= date.fromisoformat(target) <= dates.LAST for _, target in rows)
    assert dates.pairs(5_000) == rows != dates.pairs(5_000, seed=1)
