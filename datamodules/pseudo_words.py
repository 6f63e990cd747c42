"""Words that do not exist but look as if they did, drawn from the letter statistics of words that do.

A small corpus has few words to learn spelling rules from. Each letter is drawn given the two before it, with the
frequencies of the given words (a Markov chain of order two, as in Shannon 1948, Sec. 3), mixed with uniform letters so
that rare clusters are met, too. Three kinds are harder than such words and would be rare among them: short strings of
any letters, down to a single one; words that repeat a part of themselves, in which a copyist loses his place; and words
with digits in them, or of nothing else.

N words, L letters.
"""

import string
from collections.abc import Callable

import numpy as np

LETTERS = "\0" + string.ascii_lowercase + "'"  # the first one stands for both ends of a word
MAX_LENGTH = 20
UNIFORM = 0.05  # share of letters that are drawn without looking at their neighbours
SHORT, ECHOING, NUMBERED = 0.1, 0.1, 0.06  # shares of pseudo-words
SHORTEST = 4  # most letters of a short one, and digits of a numbered one
CAPITALISED, UPPER, MIXED, POSSESSIVE = 0.2, 0.1, 0.05, 0.1  # shares of words


class PseudoWords:
    """Draws words that resemble `words`, in lower case."""

    def __init__(self, words: list[str]):
        counts = np.zeros((len(LETTERS),) * 3)
        for word in {word.lower() for word in words}:
            codes = [0, 0, *(LETTERS.index(letter) for letter in word), 0]
            np.add.at(counts, (codes[:-2], codes[1:-1], codes[2:]), 1)
        counts[0, 0, 0] = 0  # no empty words
        totals = counts.sum(2, keepdims=True)
        uniform = np.ones(len(LETTERS))
        uniform[[0, -1]] = 0
        uniform /= uniform.sum()
        share = np.where(totals > 0, UNIFORM, 1.0)
        self.cumulative = ((1 - share) * counts / np.maximum(totals, 1) + share * uniform).cumsum(2)  # (L, L, L)

    def draw(self, count: int, rng: np.random.Generator) -> list[str]:
        """N words of at most 20 letters and digits, of all four kinds."""
        words = self.chained(count, rng)
        kinds = np.searchsorted(np.cumsum([SHORT, ECHOING, NUMBERED]), rng.random(count), side="right")
        makers: list[Callable[[str, np.random.Generator], str]] = [_short, _echoing, _numbered]
        for kind, make in enumerate(makers):
            for i in (kinds == kind).nonzero()[0]:
                words[i] = make(words[i], rng)
        return words

    def chained(self, count: int, rng: np.random.Generator) -> list[str]:
        """N words of the Markov chain. What ran into the limit of 20 letters is cut there."""
        codes = np.zeros((count, MAX_LENGTH + 2), dtype=np.int64)
        alive = np.ones(count, dtype=bool)
        for i in range(2, MAX_LENGTH + 2):
            rows = self.cumulative[codes[:, i - 2], codes[:, i - 1]]  # (N, L)
            letter = (rows < rng.random((count, 1))).sum(1).clip(max=len(LETTERS) - 1)
            codes[:, i] = letter * alive
            alive &= letter > 0
        spelled = np.array([ord(letter) for letter in LETTERS], dtype=np.uint8)[codes[:, 2:]]
        return [word.decode().strip("'") for word in spelled.view(f"S{MAX_LENGTH}")[:, 0].tolist()]


def _short(_: str, rng: np.random.Generator, alphabet: str = string.ascii_lowercase) -> str:
    """One to four of the alphabet's letters in place of the word, all equally likely."""
    return "".join(alphabet[i] for i in rng.integers(len(alphabet), size=rng.integers(1, SHORTEST + 1)))


def _echoing(word: str, rng: np.random.Generator) -> str:
    """The word with two to four of its letters twice, at once or after what lies between."""
    start = int(rng.integers(max(1, len(word) - 1)))
    echo, place = word[start : start + int(rng.integers(2, 5))], int(rng.integers(len(word) + 1))
    return (word[:place] + echo + word[place:])[:MAX_LENGTH].strip("'")


def _numbered(word: str, rng: np.random.Generator) -> str:
    """One to four digits, as often as not among a few letters of the word."""
    digits, letters, place = _short(word, rng, string.digits), word.replace("'", ""), int(rng.integers(SHORTEST))
    return letters[:place] + digits + letters[place : 2 * place] if rng.random() < 0.5 else digits


def _mixed(word: str, rng: np.random.Generator) -> str:
    """With capitals anywhere, few or many."""
    capital = rng.random(len(word)) < rng.random()
    return "".join(letter.upper() if up else letter for letter, up in zip(word, capital.tolist(), strict=True))


def dressed(words: list[str], rng: np.random.Generator) -> list[str]:
    """Some of the words with a capital, some in capitals, some mixed, some possessives, as English has them.

    Mixed are both kinds of letters, as in iPhone or RFCs.
    """
    draws = rng.random((2, len(words)))
    result = []
    for word, case, ending in zip(words, *draws.tolist(), strict=True):
        if ending < POSSESSIVE and word.isalpha():
            word += "'s"
        if case < UPPER:
            word = word.upper()
        elif case < UPPER + CAPITALISED:
            word = word[0].upper() + word[1:]
        elif case < UPPER + CAPITALISED + MIXED:
            word = _mixed(word, rng)
        result.append(word)
    return result
