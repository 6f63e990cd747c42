import pytest
import torch

from datamodules.stateful_loader import StatefulLoader

ROWS = torch.arange(23)


def loader(**options):
    return StatefulLoader(ROWS, **{"batch_size": 5, "shuffle": True} | options)


def epoch(batches):
    return [batch.tolist() for batch in batches]


@pytest.mark.parametrize("given", range(6))
@pytest.mark.parametrize("options", [{}, {"drop_last": True}, {"shuffle": False}])
def test_goes_on_where_it_stopped(given, options):
    """In a loader of its own; what comes in later epochs is the same, too, from the same global state."""
    torch.manual_seed(0)
    whole = loader(**options)
    expected, following = epoch(whole), epoch(whole)
    if given >= len(whole):
        pytest.skip("the epoch ended")
    torch.manual_seed(0)
    stopped = loader(**options)
    batches = iter(stopped)
    first = [next(batches).tolist() for _ in range(given)]
    state, randomness = stopped.state_dict(), torch.get_rng_state()

    resumed = loader(**options)
    resumed.load_state_dict(state)
    torch.set_rng_state(randomness)
    assert first + epoch(resumed) == expected
    assert epoch(resumed) == following


class Noisy(torch.utils.data.Dataset):
    """Rows that draw while they are read."""

    def __len__(self):
        return len(ROWS)

    def __getitem__(self, index):
        return ROWS[index] + torch.rand(())


@pytest.mark.parametrize("num_workers", [0, 1])
def test_rows_that_draw_while_they_are_read(num_workers):
    torch.manual_seed(0)
    expected = epoch(StatefulLoader(Noisy(), batch_size=5, shuffle=True, num_workers=num_workers))
    torch.manual_seed(0)
    stopped = StatefulLoader(Noisy(), batch_size=5, shuffle=True, num_workers=num_workers)
    batches = iter(stopped)
    first = [next(batches).tolist() for _ in range(3)]
    state, randomness = stopped.state_dict(), torch.get_rng_state()
    resumed = StatefulLoader(Noisy(), batch_size=5, shuffle=True, num_workers=num_workers)
    resumed.load_state_dict(state)
    torch.set_rng_state(randomness)
    assert first + epoch(resumed) == expected


def test_other_batches_than_those_of_the_place_are_refused():
    stopped = loader()
    next(iter(stopped))
    for other in (loader(batch_size=4), StatefulLoader(torch.arange(60), batch_size=5)):
        with pytest.raises(ValueError, match="within an epoch, after 1 of 5 batches of 5 rows; now an epoch has"):
            other.load_state_dict(stopped.state_dict())
    epoch(stopped)
    loader(batch_size=4).load_state_dict(stopped.state_dict())  # between two epochs


def test_workers_that_live_on_are_refused():
    with pytest.raises(ValueError, match="persistent_workers=True"):
        loader(num_workers=1, persistent_workers=True)


def test_the_end_of_an_epoch_is_the_beginning_of_the_next():
    first = loader()
    batches = iter(first)
    for _ in range(len(first)):  # as Lightning reads it: the iterator is never asked for one too many
        next(batches)
    assert first.state_dict()["given"] == 0
    second = loader()
    second.load_state_dict(first.state_dict())
    assert sorted(row for batch in epoch(second) for row in batch) == ROWS.tolist()


def test_every_epoch_has_an_order_of_its_own_from_the_global_generator():
    torch.manual_seed(0)
    batches = loader()
    orders = [epoch(batches) for _ in range(3)]
    assert len({str(order) for order in orders}) == 3
    torch.manual_seed(0)
    assert [epoch(batches) for _ in range(3)] == orders


def test_nothing_is_drawn_before_the_first_batch():
    state = torch.get_rng_state()
    batches = iter(loader())
    assert torch.equal(torch.get_rng_state(), state)
    next(batches)
    assert not torch.equal(torch.get_rng_state(), state)
    state = torch.get_rng_state()
    epoch(batches)
    assert torch.equal(torch.get_rng_state(), state)
