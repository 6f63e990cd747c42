"""Diffusion steps as vectors.

B batch.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

LONGEST = 10_000  # period, in steps, divided by 2 pi


class SinusoidalEmbedding(nn.Module):
    """Vaswani et al. 2017, Sec. 3.5, for diffusion steps: (B,) -> (B, width), cosines after sines, in float32.

    In bfloat16 neighbouring steps would have the same angles.

    Args:
        width: even; half of it are sines, half cosines.
    """

    frequencies: Tensor

    def __init__(self, width: int):
        super().__init__()
        if not 2 <= width <= 2**14 or width % 2:
            raise ValueError(f"width={width} must be even and from 2 to {2**14}: half of it are sines, half cosines")
        frequencies = torch.exp(-math.log(LONGEST) * torch.arange(width // 2) / (width // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "SinusoidalEmbedding":
        return super()._apply(lambda table: table.to(fn(table).device), recurse)

    def forward(self, t: Tensor) -> Tensor:
        angles = t[:, None].float() * self.frequencies  # (B, width/2)
        return torch.cat([angles.sin(), angles.cos()], 1)


class StepEmbedding(nn.Sequential):
    """A `SinusoidalEmbedding`, then a linear layer and others, in whatever precision these compute."""

    def forward(self, t: Tensor) -> Tensor:
        embedding, linear, *others = self
        x = linear(embedding(t).to(linear.weight.dtype))
        for layer in others:
            x = layer(x)
        return x
