import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

from numpy_core import SelfAttention
from tests.numpy_core.against_torch import arrays, compare, many, randomize, seeds

TORCH_NAMES = {
    "qkv.weight": "in_proj_weight",
    "qkv.bias": "in_proj_bias",
    "out.weight": "out_proj.weight",
    "out.bias": "out_proj.bias",
}


def torch_attention(features: int, heads: int, causal: bool):
    """`nn.MultiheadAttention` as a function of x and parameters under our names."""
    module = nn.MultiheadAttention(features, heads, batch_first=True, dtype=torch.float64)

    def attend(x, parameters):
        hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if causal else None
        own = {TORCH_NAMES[name]: tensor for name, tensor in parameters.items()}
        return functional_call(module, own, (x, x, x), {"need_weights": False, "attn_mask": hidden})[0]

    return attend


@many
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.booleans(), seeds)
def test_like_torch(batch, length, heads, head_features, causal, rng):
    features = heads * head_features
    compare(
        SelfAttention(features, heads, rng, causal, dtype=np.float64),
        torch_attention(features, heads, causal),
        arrays((batch, length, features), rng),
        rng,
    )


def test_causal_never_looks_ahead():
    """Changing position t leaves every earlier output equal to the last bit, and position t's not."""
    rng = np.random.default_rng(0)
    layer = randomize(SelfAttention(6, 2, rng, causal=True, dtype=np.float64), rng)
    x = arrays((2, 5, 6), rng)
    changed = x.copy()
    changed[:, 3] += 1
    np.testing.assert_array_equal(layer(x)[:, :3], layer(changed)[:, :3])
    assert (layer(x)[:, 3:] != layer(changed)[:, 3:]).all()


def test_order_does_not_matter_unless_causal():
    rng = np.random.default_rng(0)
    layer = randomize(SelfAttention(6, 2, rng, dtype=np.float64), rng)
    x, order = arrays((2, 5, 6), rng), rng.permutation(5)
    np.testing.assert_allclose(layer(x[:, order]), layer(x)[:, order], rtol=1e-12, atol=1e-14)
