import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from numpy_core import Linear
from tests.numpy_core.against_torch import arrays, compare, many, seeds, sizes


@many
@given(st.lists(sizes, max_size=3), sizes, sizes, st.booleans(), seeds)
def test_like_torch(leading, inputs, outputs, bias, rng):
    layer = Linear(inputs, outputs, rng, bias, dtype="float64")
    compare(layer, lambda x, p: F.linear(x, p["weight"], p.get("bias")), arrays((*leading, inputs), rng), rng)
