import pytest
import torch

from networks import attention
from networks.attention import AttentionContext, CrossAttention, SelfAttention
from networks.positions import RotaryPositions, rotate


def by_hand(q, k, v, mask):
    """Softmax attention of one query at a time."""
    out = torch.zeros_like(q)
    weights = torch.zeros(*q.shape[:3], k.shape[2], dtype=q.dtype)
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            for i in range(q.shape[2]):
                allowed = [j for j in range(k.shape[2]) if mask[b, i, j]]
                scores = torch.stack([(q[b, h, i] * k[b, h, j]).sum() / q.shape[-1] ** 0.5 for j in allowed])
                share = scores.exp() / scores.exp().sum()
                weights[b, h, i, allowed] = share
                out[b, h, i] = sum(p * v[b, h, j] for p, j in zip(share, allowed, strict=True))
    return out, weights


def heads(x, n):
    """(B, T, C) -> (B, n, T, C / n), channel c belongs to head c // (C / n)."""
    return torch.stack(x.split(x.shape[-1] // n, -1), 1)


@pytest.mark.parametrize("kind", ["all", "causal", "mask", "rotary"])
def test_self_attention_is_a_written_out_softmax(kind):
    torch.manual_seed(0)
    layer = SelfAttention(12, 3).double()
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    mask = torch.ones(2, 5, 5, dtype=torch.bool)
    context = AttentionContext()
    if kind == "causal":
        mask, context = mask.tril(), AttentionContext(causal=True)
    if kind == "mask":
        mask = torch.rand(2, 5, 5) < 0.5
        mask |= torch.eye(5, dtype=torch.bool)
        context = AttentionContext(mask[:, None])
    q, k, v = (heads(part, 3) for part in layer.qkv(x).split(12, -1))
    if kind == "rotary":
        rotation = RotaryPositions(12, 3, 8).double().rotation(torch.arange(5))
        q, k, context = rotate(q, rotation), rotate(k, rotation), AttentionContext(rotation=rotation)
    expected, _ = by_hand(q, k, v, mask)
    expected = layer.out(torch.cat(expected.unbind(1), -1))
    torch.testing.assert_close(layer(x, context), expected, rtol=0, atol=1e-12)


def test_cross_attention_is_a_written_out_softmax():
    torch.manual_seed(0)
    layer = CrossAttention(12, 3).double()
    x, memory = torch.randn(2, 4, 12, dtype=torch.float64), torch.randn(2, 6, 12, dtype=torch.float64)
    mask = torch.arange(6) < torch.tensor([[6], [3]])
    k, v = (heads(part, 3) for part in layer.key_value(memory).split(12, -1))
    expected, _ = by_hand(heads(layer.query(x), 3), k, v, mask[:, None].expand(2, 4, 6))
    expected = layer.out(torch.cat(expected.unbind(1), -1))
    torch.testing.assert_close(
        layer(x, layer.project_keys_values(memory), mask[:, None, None]), expected, rtol=0, atol=1e-12
    )


def test_self_attention_equals_torch():
    torch.manual_seed(0)
    ours, theirs = SelfAttention(16, 4).double(), torch.nn.MultiheadAttention(16, 4, batch_first=True).double()
    theirs.in_proj_weight, theirs.in_proj_bias = ours.qkv.weight, ours.qkv.bias
    theirs.out_proj.weight, theirs.out_proj.bias = ours.out.weight, ours.out.bias
    x = torch.randn(3, 7, 16, dtype=torch.float64)
    mask = torch.rand(7, 7) < 0.6
    mask |= torch.eye(7, dtype=torch.bool)
    expected, _ = theirs(x, x, x, attn_mask=~mask)
    torch.testing.assert_close(ours(x, AttentionContext(mask)), expected, rtol=0, atol=1e-12)


def test_weights_are_those_of_the_softmax():
    torch.manual_seed(0)
    layer = SelfAttention(12, 3).double()
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    mask = torch.ones(2, 5, 5, dtype=torch.bool).tril()
    q, k, v = (heads(part, 3) for part in layer.qkv(x).split(12, -1))
    found = attention.weights(layer, x, AttentionContext(causal=True))
    torch.testing.assert_close(found["attend"], by_hand(q, k, v, mask)[1], rtol=0, atol=1e-12)
    assert not layer.attend._forward_hooks


def test_bfloat16_gradients_are_those_of_float32_rounded():
    """On a CPU the backward pass goes through float32: see `ScaledDotProductAttention`."""
    torch.manual_seed(0)
    layer = SelfAttention(16, 2).bfloat16()
    exact = SelfAttention(16, 2)
    exact.load_state_dict(layer.state_dict())
    x = torch.randn(2, 6, 16).bfloat16()
    layer(x, AttentionContext(causal=True)).float().square().sum().backward()
    exact(x.float(), AttentionContext(causal=True)).square().sum().backward()
    for ours, theirs in zip(layer.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(
            ours.grad.float(), theirs.grad, rtol=0.05, atol=0.03 * theirs.grad.abs().max().item()
        )


@pytest.mark.parametrize("rotary", [False, True])
def test_training_under_autocast_attends_in_float32(rotary, monkeypatch):
    """Rotated queries are float32, and autocast would make them bfloat16 again: see `ScaledDotProductAttention`."""
    seen = []

    def spy(q, k, v, *args, **options):
        seen.append((q.dtype, k.dtype, v.dtype, torch.is_autocast_enabled("cpu")))
        return v

    monkeypatch.setattr(attention.F, "scaled_dot_product_attention", spy)
    rotation = RotaryPositions(16, 2, 6).rotation(torch.arange(6)) if rotary else None
    with torch.autocast("cpu", torch.bfloat16):
        SelfAttention(16, 2)(torch.randn(2, 6, 16), AttentionContext(causal=True, rotation=rotation))
    assert seen == [(torch.float32, torch.float32, torch.float32, False)]


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="width=10 is not divisible by heads=3"):
        SelfAttention(10, 3)
