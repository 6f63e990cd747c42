import numpy as np
import pytest

from numpy_core import batches


@pytest.mark.parametrize(("count", "size", "lengths"), [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 5, [3]), (1, 1, [1])])
@pytest.mark.parametrize("shuffled", [False, True])
def test_each_index_once(count, size, lengths, shuffled):
    found = list(batches(count, size, np.random.default_rng(0) if shuffled else None))
    assert [len(batch) for batch in found] == lengths
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(count))


def test_in_order_without_a_generator():
    np.testing.assert_array_equal(np.concatenate(list(batches(7, 3))), np.arange(7))


def test_order_follows_the_generator():
    rng = np.random.default_rng(0)
    first, second = (np.concatenate(list(batches(50, 8, rng))) for _ in range(2))
    again = np.concatenate(list(batches(50, 8, np.random.default_rng(0))))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert (first != np.arange(50)).any()
