import torch

from datamodules.pairs import BLOCK, Pairs, similar_lengths


def test_a_batch_is_padded_to_its_own_longest():
    pairs = Pairs.from_lists([[5], [6, 7, 8, 9], [4, 4]], [[5, 5], [6], [7]])
    batch = pairs.__getitems__([0, 2])
    assert batch["source"].tolist() == [[5, 0], [4, 4]]
    assert batch["source_mask"].tolist() == [[True, False], [True, True]]
    assert batch["target"].tolist() == [[5, 5], [7, 0]]
    assert batch["target_mask"].tolist() == [[True, True], [True, False]]
    assert pairs[1]["source"].tolist() == [6, 7, 8, 9]


def test_every_row_comes_once_and_neighbours_are_alike():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 100, (8 * BLOCK * 2 + 5,), generator=generator)
    order = similar_lengths(lengths, 8, generator)
    assert order.sort().values.tolist() == list(range(len(lengths)))
    batches = lengths[order][: 8 * BLOCK * 2].view(-1, 8)
    spread = batches.max(1).values - batches.min(1).values
    # 256 lengths of 1 to 99, sorted: eight neighbours span some 3, eight random ones some 78
    assert spread.float().mean() < 6
    assert not torch.equal(batches.float().mean(1).sort().values, batches.float().mean(1)), "batches come by length"
    assert not torch.equal(order, similar_lengths(lengths, 8, generator))
