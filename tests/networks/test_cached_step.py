"""The step without state gives what a `KVCache` gives."""

import pytest
import torch

from networks.cached_step import Past, cached_step
from tests.networks.test_positions import POSITIONS
from tests.networks.test_transformer import LIMIT, C, H, decoder, ragged, tokens


def nothing_read(network, rows):
    layers = len(network.blocks)
    return Past(
        torch.zeros(rows, 0, dtype=torch.long),
        torch.zeros(rows, 0, dtype=torch.bool),
        torch.zeros(layers, 2, rows, H, 0, C // H, dtype=torch.float64),
    )


@torch.no_grad()
@pytest.mark.parametrize("positions", POSITIONS)
def test_pieces_give_the_logits_of_the_whole(positions):
    network = decoder(positions)
    ids, mask = tokens(3, 9), ragged((9, 4, 6), 9)
    past, cache, found = nothing_read(network, 3), network.cache(LIMIT), []
    for piece in (slice(0, 4), slice(4, 5), slice(5, 9)):
        logits, past = cached_step(network, ids[:, piece], mask[:, piece], past)
        torch.testing.assert_close(logits, network(ids[:, piece], mask[:, piece], cache=cache))
        assert torch.equal(past.keys_values, cache.keys_values)
        found.append(logits)
    torch.testing.assert_close(torch.cat(found, 1)[mask], network(ids, mask)[mask])
    assert torch.equal(past.tokens, ids)
    assert torch.equal(past.mask, mask)
