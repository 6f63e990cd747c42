import re
import string

import numpy as np

from datamodules.punctuation import punctuated


def test_words_stay_as_they_are_in_their_order():
    rng = np.random.default_rng(0)
    text = "One doesn't see 42 well-known words."
    words = re.findall(r"[A-Za-z0-9']+", text)
    seen = [punctuated(text, rng) for _ in range(2000)]
    unquoted = [other for other in seen if "'" not in other.replace("doesn't", "")]  # a quote looks like an apostrophe
    assert len(unquoted) > 1800
    assert all(re.findall(r"[A-Za-z0-9']+", other) == words for other in unquoted)


def test_every_sign_and_every_end_is_met():
    rng = np.random.default_rng(0)
    seen = [punctuated("Stop here", rng) for _ in range(5000)]
    assert set(string.punctuation) <= set("".join(seen))
    ends = [re.search(r"[^\w]*$", text).group() for text in seen]
    for end in ("", ".", "!", "?"):
        assert 0.04 < ends.count(end) / len(ends) < 0.6
    assert 0.1 < seen.count("Stop here") / len(seen) < 0.6


def test_the_same_draws_give_the_same_text():
    first, again = ([punctuated("a b c", rng) for _ in range(50)] for rng in map(np.random.default_rng, (3, 3)))
    assert first == again


def test_one_word_and_signs_alone_are_texts_too():
    rng = np.random.default_rng(0)
    for text in ("word", "...", "a"):
        for _ in range(200):
            assert punctuated(text, rng).count(" ") <= 0
