import numpy as np
import pytest
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from numpy_core import Embedding, LearnedPositions
from tests.numpy_core.against_torch import arrays, compare, many, seeds, sizes


@many
@given(st.lists(sizes, max_size=3), sizes, sizes, seeds)
def test_embedding_like_torch(shape, entries, features, rng):
    """Few entries, so that most indices come more than once."""
    indices = np.asarray(rng.integers(0, entries, shape))
    compare(Embedding(entries, features, rng, dtype=np.float64), lambda x, p: F.embedding(x, p["weight"]), indices, rng)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_any_kind_of_integer(dtype):
    layer = Embedding(4, 2, np.random.default_rng(0))
    np.testing.assert_array_equal(layer(np.array([3, 0, 3], dtype)), layer.weight.value[[3, 0, 3]])


@many
@given(sizes, sizes, sizes, st.integers(0, 2), seeds)
def test_positions_like_torch(batch, length, features, more, rng):
    compare(
        LearnedPositions(length + more, features, rng, dtype=np.float64),
        lambda x, p: x + p["weight"][: x.shape[1]],
        arrays((batch, length, features), rng),
        rng,
    )
