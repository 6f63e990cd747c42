"""English sentences and words to Pig Latin, character by character, split by word.

A hash of a word says whether it is for training, validation or test, so it is on the same side in every corpus and
every run: no training example of any epoch holds a word of the other two sides, in any capitalisation, with or without
's. In sentences for training these words are replaced by pseudo-words (`datamodules.pseudo_words`), and so are some
others: the corpus is small, and the spelling of words is what is to be learned. Texts for training get other
punctuation than the corpus has (`datamodules.punctuation`), and more numbers (`datamodules.numbers`). Sentences are
split by their own hash; those held out keep all of their words and signs.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from typing import cast

import numpy as np
from tokenizers import Tokenizer
from torch.utils.data import DataLoader

from datamodules import sources
from datamodules.device_resident import OnDevice
from datamodules.everyday import everyday_sentences
from datamodules.numbers import with_number
from datamodules.pairs import Pairs, PairsDataModule
from datamodules.pig_latin_rules import TRANSLATED, WORD, translate
from datamodules.pseudo_words import PseudoWords, dressed
from datamodules.punctuation import punctuated
from datamodules.sentences import PYDOC, plain, read_text, read_words, sentences
from datamodules.tokenization import CharacterTokenizer, TextTokenizer
from limits import whole
from networks.vocabulary import Vocabulary

TEST_SHARE, VAL_SHARE = 0.20, 0.05
WORD_LIST = "words"  # the folder in FIRSTLIGHT_DATA
LIST_WORDS = 5_000
SHORTEST_LIMIT = 40  # characters
WORDS_PUNCTUATED = 0.3  # share of single words
NUMBERED = 0.15  # share of sentences and parts of sentences
EVERYDAY = 200  # sentences of each kind


def side(text: str) -> str:
    """Whether a word (or sentence) is for "train", "val" or "test"."""
    share = zlib.crc32(text.lower().removesuffix("'s").encode()) / 2**32
    return "test" if share < TEST_SHARE else "val" if share < TEST_SHARE + VAL_SHARE else "train"


def words_of(texts: Iterable[str]) -> list[str]:
    """The distinct words of some texts that Pig Latin changes, sorted."""
    found = {word for text in texts for word in WORD.findall(text)}
    return sorted(word for word in found if TRANSLATED.fullmatch(word))


class PigLatin(PairsDataModule):
    """Pairs of English and Pig Latin, {"source": (B, S), "target": (B, T)} token ids with masks (`datamodules.pairs`).

    Test sets, by the names in `test_names`:
        unseen_word_accuracy        the test words of the corpus, one a row
        unseen_list_word_accuracy   5,000 test words of the word list that the corpus lacks; where there is a list
        sentence_exact_match        the test sentences of the corpus
        everyday_statement          200 short sentences with a full stop around test words of the list, or of the corpus
        everyday_question           where there is no list (`datamodules.everyday`)
        everyday_exclamation
        everyday_no_end

    Args:
        source: the corpus: "pydoc", a text file, or a data set with a column `text` (`datamodules.sources`).
        words: a word list, one a line; by default the one in FIRSTLIGHT_DATA, if that is set.
        train_on_words: train on the list's training words, too.
        tokenizer: of characters (the default), or by byte-pair encoding: `datamodules.tokenization`.
        max_length: longest source in characters, at least 40: a word with signs around it may take as many.
        batch_size: pairs in a batch; those of one batch have similar lengths.
        train_size: pairs in an epoch, new ones in each epoch.
        word_share: share of them that are a single word; the others are sentences, and parts of sentences.
        pseudo_share: share of words that are replaced by pseudo-words.
        seed: epoch e is drawn from seed + e.
        text: a line to translate in `predict`, which needs neither corpus nor word list.
        on_device: whether pairs are held on the GPU (`datamodules.device_resident`).
    """

    def __init__(
        self,
        source: str = PYDOC,
        words: str | None = None,
        train_on_words: bool = False,
        tokenizer: TextTokenizer | None = None,
        max_length: int = 120,
        batch_size: int = 128,
        train_size: int = 12_800,
        word_share: float = 0.5,
        pseudo_share: float = 0.3,
        seed: int = 0,
        text: str | None = None,
        on_device: OnDevice = "auto",
    ):
        super().__init__(on_device)
        for name, share in [("word_share", word_share), ("pseudo_share", pseudo_share)]:
            if not 0 <= share <= 1:
                raise ValueError(f"{name}={share} must lie between 0 and 1")
        whole(SHORTEST_LIMIT, max_length=max_length)
        self.text = text = None if text is None else plain(text)
        if text is not None and not text.strip():
            raise ValueError('the text to translate is empty; for example --data.text "the quick brown fox"')
        if text is not None and len(text) > max_length:
            raise ValueError(
                f"the text to translate has {len(text)} characters, max_length={max_length} is the most; "
                "shorten it or translate it in parts"
            )
        self.save_hyperparameters(ignore=["tokenizer"], logger=False)
        self.text_tokenizer = CharacterTokenizer() if tokenizer is None else tokenizer
        self.vocab_size = self.text_tokenizer.vocab_size
        self.tokenizer: Tokenizer | None = None if self.text_tokenizer.learned else self.text_tokenizer.train([])

    def make_held_out(self) -> None:
        hp = self.hparams
        found = sentences(read_text(hp.source))
        by_side = {name: [s for s in found if side(s) == name] for name in ("train", "val", "test")}
        corpus_words = words_of(found)
        self.train_sentences = by_side["train"]
        self.train_words = [word for word in corpus_words if side(word) == "train"]
        too_few = ValueError(
            f"source={hp.source!r} holds {len(found)} English sentences, too few to train on: a share of words and "
            "sentences, by their hash, is for validation, another for test; give a longer text"
        )
        if not self.train_sentences or not self.train_words:
            raise too_few
        held_out = {
            name: (
                [word for word in corpus_words if side(word) == name],
                [sentence for sentence in by_side[name] if len(sentence) <= hp.max_length],
            )
            for name in ("val", "test")
        }
        if not all(map(any, held_out.values())):
            raise too_few
        test_sets = {"unseen_word_accuracy": held_out["test"][0]}
        word_list = self._word_list()
        if word_list:
            test_sets["unseen_list_word_accuracy"] = unseen(word_list, corpus_words)
        test_sets["sentence_exact_match"] = held_out["test"][1]
        listed = test_sets.get("unseen_list_word_accuracy") or held_out["test"][0]
        everyday_words = [word for word in listed if word.isalpha() and word.islower()]
        if everyday_words:
            for kind, texts in everyday_sentences(everyday_words, EVERYDAY).items():
                test_sets[f"everyday_{kind}"] = texts
        if hp.train_on_words:
            self.train_words += [word for word in word_list if side(word) == "train"]
        self.pseudo_words = PseudoWords(self.train_words)
        if self.text_tokenizer.learned:
            self.tokenizer = self.text_tokenizer.train(
                [text for s in self.train_sentences for text in (s, translate(s))]
            )
        test_sets = {name: texts for name, texts in test_sets.items() if texts}
        self.test_names = list(test_sets)
        self.test_pairs = [self.pairs(texts) for texts in test_sets.values()]
        rng = np.random.default_rng(0)
        val_words, val_sentences = held_out["val"]
        other_ends = [punctuated(sentence, rng) for sentence in val_sentences]
        self.val_pairs = self.pairs(
            [*val_words, *val_sentences, *(text for text in other_ends if len(text) <= hp.max_length)]
        )

    def _word_list(self) -> list[str]:
        if self.hparams.words is None and sources.resolve(WORD_LIST) == WORD_LIST:
            if self.hparams.train_on_words:
                raise ValueError(
                    f"train_on_words needs a word list: name one with --data.words, or set {sources.DATA_VARIABLE} "
                    f"to a folder that holds {WORD_LIST!r}"
                )
            return []
        found = words_of(read_words(self.hparams.words or WORD_LIST))
        if not found:
            raise ValueError(f"words={self.hparams.words!r} holds no words; name a list, one word a line")
        return found

    def pairs(self, texts: list[str]) -> Pairs:
        """Texts beside their translations as ids, shortest first."""
        texts = sorted(texts, key=len)
        vocabulary = Vocabulary(self.tokenizer)
        return Pairs.from_lists(vocabulary.encode(texts), vocabulary.encode([translate(text) for text in texts]))

    def train_texts(self, epoch: int) -> list[str]:
        """The English that an epoch is trained on."""
        hp = self.hparams
        rng = np.random.default_rng(hp.seed + epoch)
        n_words = round(hp.word_share * hp.train_size)
        fresh = self._fresh_words(rng)
        known = dressed([self.train_words[i] for i in rng.integers(len(self.train_words), size=n_words)], rng)
        replaced = rng.random(n_words) < hp.pseudo_share
        words = [next(fresh) if new else word for word, new in zip(known, replaced.tolist(), strict=True)]
        texts = [punctuated(word, rng) if rng.random() < WORDS_PUNCTUATED else word for word in words]
        chosen = rng.integers(len(self.train_sentences), size=hp.train_size - n_words).tolist()
        parts = [part(self.train_sentences[i], hp.max_length, hp.pseudo_share, fresh, rng) for i in chosen]
        return texts + parts

    def _fresh_words(self, rng: np.random.Generator) -> Iterator[str]:
        """An endless stream of pseudo-words, none of which is held out."""
        while True:
            drawn = self.pseudo_words.draw(10_000, rng)
            drawn = [word for word in drawn if WORD.fullmatch(word) and side(word) == "train"]
            yield from dressed(drawn, rng)

    def draw_training(self, epoch: int) -> Pairs:
        return self.pairs(self.train_texts(epoch))

    def predict_dataloader(self) -> DataLoader:
        if self.text is None:
            raise ValueError('nothing to translate; say what with --data.text "the quick brown fox"')
        if self.tokenizer is None and self.trainer:  # learned from a corpus; the weights carry it
            self.tokenizer = cast(Vocabulary, self.trainer.lightning_module.vocabulary).tokenizer
        return self.loader(self.pairs([self.text]))


def unseen(word_list: list[str], corpus_words: list[str]) -> list[str]:
    """At most 5,000 test words of a list that are not in the corpus, spread evenly over the list by their hash."""
    known = {word.lower().removesuffix("'s") for word in corpus_words}
    candidates = [w for w in word_list if side(w) == "test" and w.lower().removesuffix("'s") not in known]
    return sorted(candidates, key=lambda word: zlib.crc32(word[::-1].encode()))[:LIST_WORDS]


def part(sentence: str, max_length: int, pseudo_share: float, fresh: Iterator[str], rng: np.random.Generator) -> str:
    """A sentence, or as often a run of its words, with held-out and some other words replaced."""
    pieces = sentence.split(" ")
    if rng.random() < 0.5:
        first, last = sorted(rng.integers(len(pieces), size=2).tolist())
        pieces = pieces[first : last + 1]

    def replacement(match: re.Match) -> str:
        word = match.group()
        if TRANSLATED.fullmatch(word) and (side(word) != "train" or rng.random() < pseudo_share):
            return next(fresh)
        return word

    text = WORD.sub(replacement, " ".join(pieces))
    if rng.random() < NUMBERED:
        text = with_number(text, rng)
    text = punctuated(text, rng)
    while len(text) > max_length and " " in text:
        text = text.rpartition(" ")[0] if rng.random() < 0.5 else text.partition(" ")[2]
    return text if len(text) <= max_length else next(fresh)
