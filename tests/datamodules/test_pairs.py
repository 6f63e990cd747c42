import pytest
import torch

from datamodules.pairs import BLOCK, Pairs, similar_lengths
from datamodules.sorting import Sorting


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


def test_rows_may_be_empty_and_there_may_be_none():
    pairs = Pairs.from_lists([[], [6, 7]], [[], []])
    batch = pairs.__getitems__([0, 1])
    assert batch["source"].tolist() == [[0, 0], [6, 7]]
    assert batch["source"].dtype == batch["target"].dtype == torch.long
    assert batch["target"].shape == (2, 0)
    assert len(Pairs.from_lists([], [])) == 0
    assert similar_lengths(torch.zeros(0, dtype=torch.long), 4).tolist() == []


def test_a_batch_may_be_larger_than_all_there_is():
    data = Sorting(train_size=20, val_size=10, test_size=10, batch_size=2**31 - 1)
    data.setup()
    assert [len(batch["source"]) for batch in data.train_dataloader()] == [20]
    assert [len(batch["source"]) for batch in data.val_dataloader()] == [10]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *((name, (0, -1)) for name in ("batch_size", "train_size", "val_size", "test_size")),
        *((name, (10**30,)) for name in ("batch_size", "train_size", "val_size", "test_size")),
        ("seed", (-1, 2**32, 2**40)),  # 2**40 is the seed of the validation set
    ],
)
def test_numbers_out_of_range_are_named(name, values):
    for value in values:
        with pytest.raises(ValueError, match=f"{name}={value} must be"):
            Sorting(**{name: value}).setup()


def test_to_predict_no_other_data_are_made(monkeypatch):
    monkeypatch.setattr(Sorting, "make_held_out", lambda self: pytest.fail("made"))
    data = Sorting(numbers=[5, 3])
    data.setup("predict")
    assert len(list(data.predict_dataloader())) == 1
