import random

import pytest

from datamodules.text_pairs import TextPairs, held_out_by_hash
from datamodules.tokenization import BPETokenizer, ByteLevelBPETokenizer, CharacterTokenizer
from networks.vocabulary import Vocabulary


def rows(count=200, seed=0):
    """Words, and the same backwards."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdeéf", k=rng.randint(1, 8))) for _ in range(count)]
    return [(word, word[::-1]) for word in words]


def tsv(path, pairs):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs))
    return str(path)


def texts(data, pairs):
    vocabulary = Vocabulary(data.tokenizer)
    return list(zip(vocabulary.decode(pairs.source), vocabulary.decode(pairs.target), strict=True))


def test_every_pair_is_on_one_side_and_repeats_on_the_same(tmp_path):
    given = rows() * 2
    data = TextPairs(tsv(tmp_path / "pairs.tsv", given), val_share=0.2, test_share=0.2)
    data.setup()
    sides = [texts(data, pairs) for pairs in (data.train_set, data.val_pairs, data.test_pairs[0])]
    assert sorted(pair for side in sides for pair in side) == sorted(given)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not {source for source, _ in sides[one]} & {source for source, _ in sides[other]}
    assert 40 < len(sides[1]) < 120
    assert 40 < len(sides[2]) < 120


def test_shares_of_a_hash_are_shares_of_rows():
    kept, first, second = held_out_by_hash([(str(number), "") for number in range(10_000)], (0.1, 0.25))
    assert len(kept) + len(first) + len(second) == 10_000
    assert abs(len(first) - 1_000) < 150  # five standard deviations
    assert abs(len(second) - 2_500) < 220
    assert held_out_by_hash([("a", "b")], (0.0, 0.0)) == [[("a", "b")], [], []]


def test_splits_of_the_source_are_taken_as_they_are(tmp_path):
    given = {name: rows(20, seed) for seed, name in enumerate(("train", "val", "test"))}
    for name, pairs in given.items():
        tsv(tmp_path / f"{name}.tsv", pairs)
    data = TextPairs(str(tmp_path), tokenizer=ByteLevelBPETokenizer(260))
    data.setup()
    for name, pairs in {"train": data.train_set, "val": data.val_pairs, "test": data.test_pairs[0]}.items():
        assert texts(data, pairs) == given[name]


def test_an_epoch_reads_every_pair_once_in_another_order(tmp_path):
    data = TextPairs(tsv(tmp_path / "pairs.tsv", rows()), batch_size=8, val_share=0.1, test_share=0)
    data.setup()
    first, second = (texts(data, data.train_pairs(epoch)) for epoch in (0, 1))
    assert first != second
    assert sorted(first) == sorted(second) == sorted(texts(data, data.train_set))
    batches = list(data.train_dataloader())
    assert len(batches) == len(data.train_set) // 8
    assert batches[0]["source"].tolist() == data.train_pairs(0).__getitems__(range(8))["source"].tolist()


def test_the_tokenizer_knows_the_training_split_alone(tmp_path):
    for name, pairs in {"train": [("ab", "ba")], "test": [("ac", "ca")]}.items():
        tsv(tmp_path / f"{name}.tsv", pairs)
    with pytest.raises(ValueError, match=r"the test pairs of .*: 'c' in 'ac' is not known.*ByteLevelBPETokenizer"):
        TextPairs(str(tmp_path), val_share=0).setup()
    (tmp_path / "test.tsv").unlink()
    data = TextPairs(str(tmp_path), val_share=0, test_share=0)
    assert data.vocab_size == 4 + 2


@pytest.mark.parametrize("tokenizer", [None, CharacterTokenizer("abcdefé"), BPETokenizer(99)])
def test_the_size_of_the_vocabulary_follows_from_the_pairs_only_where_it_must(tokenizer, tmp_path):
    path = tmp_path / "pairs.tsv"
    data = TextPairs(str(path), tokenizer=tokenizer)
    if tokenizer is not None:  # before there are any
        assert data.vocab_size == tokenizer.vocab_size
    tsv(path, rows() if not isinstance(tokenizer, BPETokenizer) else [("ab", "c")] * 3)
    if not isinstance(tokenizer, BPETokenizer):
        assert data.vocab_size == 4 + 7


def test_a_question_needs_no_pairs():
    data = TextPairs(text="abc")
    data.setup("predict")
    assert data.vocab_size is None
    assert TextPairs(text="abc", tokenizer=CharacterTokenizer()).vocab_size == 99


def test_columns_are_named_or_the_first_two(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("id\tto\tfrom\n" + "".join(f"{i}\tb{i}\ta{i}\n" for i in range(10)))
    named = TextPairs(str(path), columns=("from", "to"), val_share=0, test_share=0)
    named.setup()
    assert texts(named, named.train_set) == [(f"a{i}", f"b{i}") for i in range(10)]
    first = TextPairs(str(path), val_share=0, test_share=0)
    first.setup()
    assert texts(first, first.train_set)[:2] == [("id", "to"), ("0", "b0")]
