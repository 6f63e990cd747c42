import numpy as np
import pytest
import torch

from datamodules import cache, token_stream
from datamodules.token_stream import Blocks
from datamodules.tokenization import byte_level_bpe_tokenizer, character_tokenizer
from networks.vocabulary import EOS, Vocabulary

DOCUMENTS = ["First line.\nSecond line.\n", "", "naïve 中 " * 30]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def vocabulary() -> Vocabulary:
    return Vocabulary(byte_level_bpe_tokenizer(DOCUMENTS, 300))


@pytest.mark.parametrize("piece", [7, 2**18])
def test_documents_come_back_from_the_file(piece, own_cache, monkeypatch):
    """In pieces, too, some of which end within a word."""
    monkeypatch.setattr(token_stream, "PIECE", piece)
    tokens = token_stream.token_stream(DOCUMENTS, vocabulary())
    assert tokens.dtype == torch.int16
    (file,) = own_cache.iterdir()
    assert np.fromfile(file, np.int16).tolist() == tokens.tolist()
    ends = (tokens == EOS).nonzero().flatten().tolist()
    assert len(ends) == 3
    rows = [tokens[begin:end].tolist() for begin, end in zip([0, *(end + 1 for end in ends)], ends, strict=False)]
    assert vocabulary().decode(rows) == DOCUMENTS


def test_a_file_is_written_once_for_a_text_and_a_tokenizer(own_cache):
    first = token_stream.token_stream(DOCUMENTS, vocabulary())
    (file,) = own_cache.iterdir()
    written = file.stat().st_mtime_ns
    assert torch.equal(token_stream.token_stream(DOCUMENTS, vocabulary()), first)
    assert file.stat().st_mtime_ns == written
    token_stream.token_stream(["".join(DOCUMENTS)], vocabulary())
    token_stream.token_stream(DOCUMENTS, Vocabulary(byte_level_bpe_tokenizer(DOCUMENTS, 261)))
    assert len(list(own_cache.iterdir())) == 3


def test_where_nothing_can_be_written_tokens_are_in_memory(own_cache):
    expected = token_stream.token_stream(DOCUMENTS, vocabulary())
    (file,) = own_cache.iterdir()
    file.unlink()
    own_cache.rmdir()
    own_cache.write_text("in the way")
    with pytest.warns(UserWarning, match="cannot keep"):
        assert torch.equal(token_stream.token_stream(DOCUMENTS, vocabulary()), expected)


def test_what_is_not_known_is_named_and_leaves_nothing_behind(own_cache):
    with pytest.raises(ValueError, match="'ï'"):
        token_stream.token_stream(DOCUMENTS, Vocabulary(character_tokenizer("Fabcdefghijklmnopqrstuvwxyz .\nS")))
    assert list(own_cache.iterdir()) == []


def test_no_document_has_no_tokens():
    assert token_stream.token_stream([], vocabulary()).shape == (0,)


@pytest.mark.parametrize(("count", "blocks"), [(0, 0), (1, 0), (4, 0), (5, 1), (8, 1), (9, 2), (12, 2)])
def test_blocks_read_every_token_once_and_predict_the_next(count, blocks):
    rows = Blocks(torch.arange(count, dtype=torch.int16), 4)
    assert len(rows) == blocks
    if blocks:
        batch = rows.__getitems__(range(blocks))["tokens"]
        assert batch.tolist() == [[4 * row + place for place in range(5)] for row in range(blocks)]
        assert batch.dtype == torch.long


def test_blocks_that_begin_elsewhere_are_as_many():
    tokens = torch.arange(23, dtype=torch.int16)
    counts, lasts = set(), []
    for start in range(4):
        rows = Blocks(tokens, 4, lambda start=start: start)
        counts.add(len(rows))
        assert rows[0]["tokens"].tolist() == list(range(start, start + 5))
        lasts.append(rows[len(rows) - 1]["tokens"][-1].item())
    assert counts == {4}
    assert max(lasts) <= 22
