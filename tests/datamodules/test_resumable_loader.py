import pytest
import torch

from datamodules.resumable_loader import ResumableLoader

ROWS = torch.arange(23)


def loader(**options):
    return ResumableLoader(ROWS, **{"batch_size": 5, "shuffle": True} | options)


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
