import pytest
import torch

from networks.kv_cache import KVCache
from networks.transformer import causal_mask
from tests.networks.test_transformer import decoder, ragged, tokens


def test_slots_are_taken_in_order_and_memory_once():
    cache = KVCache(capacity=5, layers=2)
    pieces = [torch.randn(2, 3, 4, length, 8) for length in (3, 1, 1)]
    rooms = set()
    for i, piece in enumerate(pieces):
        cache.advance(torch.zeros(3, piece.shape[3]))
        cache.append(0, -piece)
        found = cache.append(1, piece)
        assert torch.equal(found, torch.cat(pieces[: i + 1], 3))
        rooms.add(found.data_ptr())
    assert len(rooms) == 1
    assert cache.length == 5


def test_padding_is_remembered():
    cache = KVCache(capacity=4, layers=1)
    cache.advance(torch.zeros(2, 1))
    assert cache.mask is None
    cache.advance(torch.zeros(2, 2), torch.tensor([[True, False], [True, True]]))
    cache.advance(torch.zeros(2, 1))
    assert cache.mask.tolist() == [[True, True, False, True], [True, True, True, True]]


def test_a_reordered_cache_is_that_of_the_reordered_rows():
    network = decoder("rotary")
    ids, mask, rows = tokens(3, 6), ragged((6, 3, 5), 6), torch.tensor([2, 2, 0])
    cache = network.cache(7)
    network(ids, mask, cache=cache)
    cache.reorder(rows)
    expected = network.cache(7)
    network(ids[rows], mask[rows], cache=expected)
    torch.testing.assert_close(network(tokens(3, 1), cache=cache), network(tokens(3, 1), cache=expected))


def test_a_full_cache_says_so_and_stays_as_it_was():
    network = decoder("rotary")
    cache = network.cache(5)
    network(tokens(1, 4), cache=cache)
    with pytest.raises(ValueError, match="room for 5 tokens; 4 are read and 2 more do not fit"):
        network(tokens(1, 2), cache=cache)
    assert cache.length == 4
    network(tokens(1, 1), cache=cache)


def test_other_rows_than_before_are_refused():
    """They would be taken for all of them: one row is copied to each."""
    network = decoder("rotary")
    cache = network.cache(5)
    network(tokens(3, 2), cache=cache)
    with pytest.raises(ValueError, match="holds 3 rows; got tokens of 1"):
        network(tokens(1, 1), cache=cache)


def test_the_causal_mask_of_the_last_tokens():
    assert causal_mask(2, 4).tolist() == [[True, True, True, False], [True, True, True, True]]
