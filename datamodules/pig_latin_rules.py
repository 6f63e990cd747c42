"""English to Pig Latin, the rules written down.

A word is a run of letters, digits and underscores, with apostrophes only between them. Everything else (blanks,
punctuation, hyphens) stays where it is, so the parts of `well-known` are words of their own. A word that holds anything
but the 26 letters and apostrophes stays as it is: `42`, `utf8`, `__init__`, `café`.

In what follows, vowels are a, e, i, o, u, and y anywhere but at the start; an apostrophe counts as a consonant.

1. A word that starts with a vowel gets "way":                          apple -> appleway, I'm -> I'mway
2. Any other loses the consonants before its first vowel to its end,
   and gets "ay":                                                       string -> ingstray, don't -> on'tday
   a. y at the start is a consonant, elsewhere a vowel:                 yellow -> ellowyay, rhythm -> ythmrhay
   b. u after the q that ends these consonants goes with them:          quick -> ickquay, squeal -> ealsquay
   c. without any vowel all of it is the end:                           hmm -> hmmay
3. Capitals stay at the front:
   a. a word of two and more letters, all capitals, stays so:           NASA -> ASANAY, TV -> TVAY
   b. any other with a capital first letter gets a capital first
      letter, and what moved becomes small:                             Latin -> Atinlay, McCoy -> Oymccay
   c. all other letters are as they were:                               iPhone -> iPhoneway, eBay -> eBayway
"""

import re

WORD = re.compile(r"\w+(?:'\w+)*")
TRANSLATED = re.compile(r"[A-Za-z']+")
MOVED = re.compile(r"(?:[^aeiou][^aeiouy]*)?", re.IGNORECASE)


def translate(text: str) -> str:
    """A line of English in Pig Latin.

    >>> translate("The quick brown fox doesn't rest.")
    "Ethay ickquay ownbray oxfay oesn'tday estray."
    """
    return WORD.sub(lambda match: translate_word(match.group()), text)


def translate_word(word: str) -> str:
    """One word, without punctuation around it."""
    if not TRANSLATED.fullmatch(word):
        return word
    start = MOVED.match(word)  # always one, maybe an empty one
    end = start.end() if start else 0
    if word[max(end - 1, 0) : end + 1].lower() == "qu":
        end += 1
    moved, rest, ending = word[:end], word[end:], "ay" if end else "way"
    if len(word) > 1 and word.isupper():
        return rest + moved + ending.upper()
    if end and word[0].isupper():
        rest = rest + moved.lower()
        return rest[0].upper() + rest[1:] + ending
    return rest + moved + ending
