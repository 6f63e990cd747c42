from itertools import chain

import pytest
import torch
from torch.utils.data import DistributedSampler

from datamodules.stateful_loader import StatefulLoader
from datamodules.unpadded_distributed_sampler import unpadded


def shares(rows: int, processes: int, in_order: bool, drop_last: bool, epoch: int = 0) -> list[list[int]]:
    found = []
    for rank in range(processes):
        given = DistributedSampler(range(rows), processes, rank, shuffle=True, seed=3)
        sampler = unpadded(range(rows), given, in_order, drop_last)
        sampler.set_epoch(epoch)
        found.append(list(sampler))
        assert len(sampler) == len(found[-1])
    return found


@pytest.mark.parametrize("rows", range(2, 14))
@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("in_order", [False, True])
def test_no_row_comes_twice_and_none_is_missing(rows, processes, in_order):
    if rows < processes:
        with pytest.raises(ValueError, match=f"{processes} processes cannot share {rows} rows"):
            shares(rows, processes, in_order, False)
        return
    whole = shares(rows, processes, in_order, drop_last=False)
    assert sorted(chain(*whole)) == list(range(rows))
    assert max(map(len, whole)) - min(map(len, whole)) <= 1
    even = shares(rows, processes, in_order, drop_last=True)
    assert {len(share) for share in even} == {rows // processes}
    assert len(set(chain(*even))) == rows // processes * processes


def test_the_order_is_kept_where_asked_and_another_in_each_epoch_where_not():
    assert shares(6, 2, True, True) == shares(6, 2, True, True, epoch=1) == [[0, 2, 4], [1, 3, 5]]
    assert shares(60, 2, False, True) != shares(60, 2, False, True, epoch=1)
    assert shares(60, 2, False, True) == shares(60, 2, False, True)


def test_a_share_that_makes_no_batch_is_an_error():
    given = DistributedSampler(range(9), 2, 0)
    with pytest.raises(ValueError, match="batch_size=5 is more than a process's share of 9 rows, 4; lower it"):
        StatefulLoader(torch.arange(9), batch_size=5, drop_last=True, sampler=given)
    assert len(StatefulLoader(torch.arange(9), batch_size=5, sampler=given)) == 1
