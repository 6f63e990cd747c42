"""Sentences of plain English out of marked-up text.

The text that every Python carries, its language reference in `pydoc_data.topics`, is written in reStructuredText:
headings, lists, tables, grammar and code stand between the sentences.
"""

import re

from datamodules.documents import read_documents
from datamodules.tokenization import ALPHABET

ASCII = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′ʼ", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("\t\xa0\u2002\u2003\u2009\u202f\u3000", " "),
        **dict.fromkeys("\xad\u200b\u200c\u200d\u2060\ufeff", ""),  # that cannot be seen
        "…": "...",
    }
)
BULLET = re.compile(r"^\s*(\*|\d+\.|-|\(\d+\)|\[\d+\])\s+")
FOOTNOTE = re.compile(r"\s*\[\d+\]")
EMPHASIS = re.compile(r"(?<!\w)\*{1,2}(\w[^*]*?)\*{1,2}(?!\w)")
BORDER = re.compile(r"""(?<=[.!?])["')]*\s+(?=["'(]?[A-Z])""")
MARKUP = re.compile(r"[^A-Za-z0-9 .,;:!?'\"()-]|--|\w\(|\.\w|:\S|,\S|\s{2}")  # code, not English
SENTENCE = re.compile(r"""["'(]?[A-Z].*[a-z].*[.!?]["')]?""")


def plain(text: str) -> str:
    """Text with quotes, dashes and the like as ASCII has them."""
    return text.translate(ASCII)


def read_text(source: str) -> str:
    """All text of a source (`datamodules.documents`). Raises as `read_documents` does."""
    return "\n\n".join(read_documents(source))


def read_words(source: str) -> list[str]:
    """The words of a list, one a line or row, those in printable ASCII only."""
    return [word for word in read_text(source).split() if set(word) <= set(ALPHABET)]


def sentences(text: str) -> list[str]:
    """The distinct English sentences of a text, in the order of the text.

    Kept are those from a capital letter to a full stop, question or exclamation mark, in letters, digits and common
    punctuation; what holds anything else (code, tables, grammar, other alphabets) is left out.
    """
    found: dict[str, None] = {}
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*\* )", plain(text)):
        line = " ".join(BULLET.sub("", paragraph).split())
        line = EMPHASIS.sub(r"\1", FOOTNOTE.sub("", line))
        for sentence in BORDER.split(line):
            if SENTENCE.fullmatch(sentence) and not MARKUP.search(sentence):
                found[sentence] = None
    return list(found)
