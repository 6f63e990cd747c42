"""Everyday sentences with four kinds of ending, made by rule around words of a list: a test of text unlike the corpus.

The corpus of `datamodules.pig_latin` is a manual, whose sentences are long and end with full stops. What people type
is short, asks, exclaims, or has no end at all.
"""

from itertools import cycle, islice

from limits import whole

# {} is a word of the list. Each sentence is used with the end of its kind.
STATEMENTS = (
    "I left my {} at home.",
    "We had {} and {} for lunch.",
    "My sister likes the {} more than the {}.",
    "Thanks, the {} was great.",
    "It rained, so we stayed in and talked about {}.",
    'He said "{}" and left.',
    "The shop on {} Street opens at 9:30.",
    "Mr. {} will call you back on Monday.",
    "There are 12 of them (the {} is gone).",
    "She's never seen a {}-{} before.",
)
QUESTIONS = (
    "Where is the {}?",
    "Have you seen my {}?",
    "What does {} mean?",
    "Can we meet at 5 near the {}?",
    "Why don't you ask {} about the {}?",
    "Is this {} yours, or is it {}'s?",
    "How much is a {} these days?",
    'Did he really say "{}"?',
    "Who wants more {}?",
    "Hi {}, how are you?",
)
EXCLAMATIONS = (
    "Stop the {}!",
    "Hello, {}!",
    "What a {} day!",
    "Happy birthday, {}!",
    "Don't touch the {}!",
    "I can't believe you {} it!",
    "Watch out for the {}, please!",
    "We won 3 to 1, {}!",
    "That's *so* {}!",
    "NO {} today!",
)
WITHOUT_END = (
    "good morning {}",
    "how to fix a {}",
    "on my way, just passed the {}",
    "best {} in town",
    "{}, {} and milk",
    "re: the {} on Friday",
    "20 ways to use {}",
    "see you at the {}",
    "new {} (almost unused)",
    "talk to you later, {}",
)
KINDS = {"statement": STATEMENTS, "question": QUESTIONS, "exclamation": EXCLAMATIONS, "no_end": WITHOUT_END}


def everyday_sentences(words: list[str], count: int) -> dict[str, list[str]]:
    """`count` sentences of each kind, by the kind's name.

    Each takes the next words of the list, from the first again after the last.

    Raises ValueError for an empty list.
    """
    whole(0, 1_000_000, count=count)
    if not words:
        raise ValueError("everyday sentences need at least one word to write about")
    supply = cycle(words)
    return {
        kind: [text.format(*islice(supply, text.count("{}"))) for text in islice(cycle(templates), count)]
        for kind, templates in KINDS.items()
    }
