"""The Diffusion Policy paper's denoiser for action chunking: a 1-D U-Net whose blocks are modulated by FiLM.

Chi et al. 2023, Sec. III-B, after Janner et al. 2022. On CPUs its many small 1-D convolutions cost several times what
`networks.chunk_mlp` costs; it is here for comparison and for longer action chunks.

B batch, T time steps of the chunk, A action dimensions, C features of the condition.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from limits import whole
from networks.embeddings import SinusoidalEmbedding, StepEmbedding

GROUPS = 8  # of channels, in a normalisation


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(inputs, outputs, 5, padding=2), nn.GroupNorm(GROUPS, outputs), nn.Mish())


class FiLMBlock(nn.Module):
    """Two convolutions with a residual; the condition scales and shifts between them (Perez et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, condition: int):
        super().__init__()
        whole(1, 2**16, inputs=inputs, outputs=outputs)
        whole(1, 2**20, condition=condition)
        if outputs % GROUPS:
            raise ValueError(f"outputs={outputs} must be divisible by {GROUPS}, the groups of a normalisation")
        self.first, self.second = _convolution(inputs, outputs), _convolution(outputs, outputs)
        self.film = nn.Sequential(nn.Mish(), nn.Linear(condition, 2 * outputs))
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:  # (B, inputs, T) -> (B, outputs, T)
        scale, shift = self.film(condition)[..., None].chunk(2, 1)
        return self.second(self.first(x) * (1 + scale) + shift) + self.skip(x)


class _FiLMBlocks(nn.ModuleList):
    """Blocks one after another, each with the condition: (B, C, T) -> (B, C', T)."""

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for block in self:
            x = block(x, condition)
        return x


class ChunkUNet(nn.Module):
    """`encode`: (B, C) condition -> the same; `forward`: (B, T, A) noisy, (B,) steps, (B, C) condition -> (B, T, A).

    Args:
        horizon: T, divisible by 2 to the power of the number of widths less one.
        action_dim: A.
        condition_dim: C.
        widths: channels of the levels, each at half the time resolution of the one before it.
    """

    def __init__(self, horizon: int, action_dim: int, condition_dim: int, widths: Sequence[int] = (64, 128, 256)):
        super().__init__()
        whole(1, 2**14, horizon=horizon, action_dim=action_dim)
        whole(1, 2**20, condition_dim=condition_dim)
        whole(1, 20, levels=len(widths))
        for width in widths:
            whole(1, 2**14, widths=width)
            if width % GROUPS:
                raise ValueError(f"widths={tuple(widths)} must be divisible by {GROUPS}, the groups of a normalisation")
        factor = 2 ** (len(widths) - 1)
        if horizon % factor:
            fitting = [
                length for length in range(horizon - factor, horizon + factor + 1) if length > 0 and not length % factor
            ]
            raise ValueError(
                f"horizon={horizon} is not divisible by {factor} (= 2 ** number of down stages of widths "
                f"{tuple(widths)}); "
                f"use {' or '.join(map(str, fitting))}"
            )
        self.encode = nn.Identity()
        context = condition_dim + 256
        self.embed_step = StepEmbedding(SinusoidalEmbedding(256), nn.Linear(256, 1024), nn.Mish(), nn.Linear(1024, 256))
        pairs = list(zip((action_dim, *widths[:-1]), widths, strict=True))
        self.down = nn.ModuleList(_FiLMBlocks([FiLMBlock(a, b, context), FiLMBlock(b, b, context)]) for a, b in pairs)
        self.shrink = nn.ModuleList(nn.Conv1d(width, width, 3, 2, 1) for width in widths[:-1])
        self.middle = _FiLMBlocks(FiLMBlock(widths[-1], widths[-1], context) for _ in range(2))
        self.grow = nn.ModuleList(nn.ConvTranspose1d(width, width, 4, 2, 1) for width in reversed(widths[:-1]))
        self.up = nn.ModuleList(
            _FiLMBlocks([FiLMBlock(2 * b, a, context), FiLMBlock(a, a, context)])
            for a, b in reversed(list(pairwise(widths)))
        )
        self.head = nn.Sequential(_convolution(widths[0], widths[0]), nn.Conv1d(widths[0], action_dim, 1))

    def forward(self, chunk: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Noisy actions (B, T, A), steps (B,) and the condition (B, C) -> a prediction (B, T, A)."""
        context = torch.cat([self.embed_step(t), context], 1)
        x = chunk.transpose(1, 2)  # (B, A, T)
        skips = []
        for level, blocks in enumerate(self.down):
            x = blocks(x, context)
            skips.append(x)
            if level < len(self.shrink):
                x = self.shrink[level](x)
        x = self.middle(x, context)
        for blocks, grow in zip(self.up, self.grow, strict=True):
            x = grow(blocks(torch.cat([x, skips.pop()], 1), context))
        return self.head(x).transpose(1, 2)
