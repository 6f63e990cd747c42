"""Multi-head attention, self and cross (Vaswani et al. 2017, Sec. 3.2), its projections fused as in GPT-2.

Masks are boolean and broadcast to (B, H, T, L): True = may attend. A mask of floats is added to the scores instead.

B batch, T tokens that attend, L tokens that they attend to, C channels, H heads, D = C / H.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.evaluation_mode import evaluating
from networks.kv_cache import KVCache
from networks.positions import check_heads, rotate

SHORT = 512  # tokens; beyond them bfloat16 is faster in the backward pass on a CPU, too


class AttentionContext(NamedTuple):
    """Which tokens self-attention may attend to, and how positions act on it; the same in every layer."""

    mask: Tensor | None = None  # None: all tokens may be attended to
    causal: bool = False  # or only the token itself and those before it; saves the mask where L = T
    rotation: Tensor | None = None  # of rotary positions
    query_scale: Tensor | None = None  # what queries are multiplied by, (T, 1), or (B, 1, T, 1) where rows differ


class ScaledDotProductAttention(nn.Module):
    """Queries (B, H, T, D), keys and values (B, H, L, D) -> (B, H, T, D). A module so that `weights` can hook it."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        lowered = q.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")
        if q.requires_grad and lowered and q.device.type == "cpu" and k.shape[2] <= SHORT:
            # torch's backward pass on a CPU: for 32 tokens, bfloat16 takes five times as long as float32.
            if mask is not None and mask.is_floating_point():
                mask = mask.float()
            with torch.autocast("cpu", enabled=False):
                return self.forward(q.float(), k.float(), v.float(), mask, causal).to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)


class SelfAttention(nn.Module):
    """Tokens attend to tokens of their own sequence: (B, T, C) -> (B, T, C)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.attend = ScaledDotProductAttention()
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: AttentionContext, cache: KVCache | None = None, layer: int = 0) -> Tensor:
        qkv = _split(self.qkv(x), 3, self.heads)  # (3, B, H, T, D)
        if context.rotation is not None:
            qkv = torch.cat([rotate(qkv[:2], context.rotation), qkv[2:]])
        q, k, v = qkv.unbind()
        if context.query_scale is not None:
            q = q * context.query_scale.to(q.dtype)
        if cache is not None:
            k, v = cache.append(layer, qkv[1:]).unbind()
        return self.out(_join(self.attend(q, k, v, context.mask, context.causal)))


class CrossAttention(nn.Module):
    """Tokens attend to a memory, such as an encoder's features of a source: (B, T, C) -> (B, T, C).

    The memory's keys and values (`project_keys_values`) are made once for all tokens that attend to it.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.attend = ScaledDotProductAttention()
        self.out = nn.Linear(width, width)

    def project_keys_values(self, memory: Tensor) -> Tensor:
        """(B, L, C) -> keys and values (2, B, H, L, D)."""
        return _split(self.key_value(memory), 2, self.heads)

    def forward(self, x: Tensor, keys_values: Tensor, mask: Tensor | None = None) -> Tensor:
        (q,) = _split(self.query(x), 1, self.heads)
        return self.out(_join(self.attend(q, *keys_values, mask)))


def _split(x: Tensor, parts: int, heads: int) -> Tensor:
    """(B, T, parts * C) -> (parts, B, H, T, D)."""
    batch, time, width = x.shape
    return x.view(batch, time, parts, heads, width // (parts * heads)).permute(2, 0, 3, 1, 4)


def _join(x: Tensor) -> Tensor:
    """(B, H, T, D) -> (B, T, C)."""
    return x.transpose(1, 2).flatten(2)


@torch.no_grad()
def weights(network: nn.Module, *inputs, **options) -> dict[str, Tensor]:
    """What every head of a network attends to for these inputs: {name of the attention: (B, H, T, L)}, rows sum to 1.

    The network reads them in evaluation mode; its own mode is restored afterwards. Nothing is found, nor read, in a
    network without a `ScaledDotProductAttention`.
    """
    found: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[[ScaledDotProductAttention, tuple[Any, ...], Tensor], None]:
        def record(attend: ScaledDotProductAttention, given: tuple, output: Tensor) -> None:
            q, k, _, *where = given
            one_hot = torch.eye(k.shape[2], dtype=k.dtype, device=k.device).expand(*k.shape[:2], -1, -1)
            found[name] = attend.forward(q, k, one_hot, *where)  # the average of one-hot values

        return record

    handles = [
        module.register_forward_hook(hook(name.removesuffix(".attend")))
        for name, module in network.named_modules()
        if isinstance(module, ScaledDotProductAttention)
    ]
    if not handles:
        return found
    try:
        with evaluating(network):
            network(*inputs, **options)
    finally:
        for handle in handles:
            handle.remove()
    return found
