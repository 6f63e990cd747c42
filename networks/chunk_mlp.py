"""A denoiser for action chunking made of MLP blocks: encode once, denoise many times.

Action chunking is predicting the next T actions at once (Zhao et al. 2023, "ACT"). A chunk of 16 two-dimensional
actions is 32 numbers. As one vector it costs a CPU a few matrix products per evaluation, where 1-D convolutions or
attention over 16 positions cost hundreds of small ones. The work is split so that most of it happens once per
observation: `encode` turns the observation into the scales, shifts and gates of every block, and `forward`, which
sampling repeats at each diffusion step and training at several noise levels per observation, is small.

B batch, T time steps of the chunk, A action dimensions, C features of the condition, W width, D depth.
"""

import torch
from torch import Tensor, nn

from devices import asynchronous
from limits import number, whole
from networks.embeddings import SinusoidalEmbedding, StepEmbedding


class ResidualBlock(nn.Module):
    """x + MLP(norm(x))."""

    def __init__(self, width: int, hidden: int, dropout: float):
        super().__init__()
        whole(1, 2**16, width=width, hidden=hidden)
        number("[0, 1]", dropout=dropout)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.norm(x))


class AdaptiveBlock(nn.Module):
    """x + (1 + gate) * MLP((1 + scale) * norm(x) + shift): adaptive norm as in Peebles & Xie 2023 (DiT)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        whole(1, 2**16, width=width, hidden=hidden)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor, shift: Tensor, scale: Tensor, gate: Tensor) -> Tensor:  # each (B, W) -> (B, W)
        return x + (1 + gate) * self.mlp(self.norm(x) * (1 + scale) + shift)


class ChunkMLP(nn.Module):
    """`encode`: (B, C) condition -> (B, context); `forward`: (B, T, A) noisy, (B,) steps, (B, context) -> (B, T, A).

    Args:
        horizon: T.
        action_dim: A.
        condition_dim: C.
        width: W, of the blocks that denoise.
        depth: D, their number.
        encoder_width: of the blocks that encode the condition.
        encoder_depth: their number.
        dropout: probability of dropout within the encoder's blocks.
    """

    def __init__(
        self,
        horizon: int,
        action_dim: int,
        condition_dim: int,
        width: int = 256,
        depth: int = 3,
        encoder_width: int = 384,
        encoder_depth: int = 2,
        dropout: float = 0.0,
    ):
        super().__init__()
        whole(1, 2**14, width=width, encoder_width=encoder_width, horizon=horizon, action_dim=action_dim)
        whole(1, 2**20, condition_dim=condition_dim)
        whole(1, 1000, depth=depth)
        whole(0, 1000, encoder_depth=encoder_depth)
        number("[0, 1]", dropout=dropout)
        context = width + 3 * width * depth  # an offset for the embedded actions, then every block's modulation
        self.encode = nn.Sequential(
            nn.Linear(condition_dim, encoder_width),
            *(ResidualBlock(encoder_width, 2 * encoder_width, dropout) for _ in range(encoder_depth)),
            nn.LayerNorm(encoder_width),
            nn.Linear(encoder_width, context),
        )
        self.embed_step = StepEmbedding(
            SinusoidalEmbedding(128), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, context)
        )
        self.embed_chunk = nn.Linear(horizon * action_dim, width)
        self.blocks = nn.ModuleList(AdaptiveBlock(width, 2 * width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, horizon * action_dim)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, chunk: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Noisy actions (B, T, A), steps (B,) and what `encode` gave (B, context) -> a prediction (B, T, A)."""
        offset, *modulation = (context + self._embedded(t)).chunk(1 + 3 * len(self.blocks), 1)  # each (B, W)
        x = self.embed_chunk(chunk.flatten(1)) + offset  # (B, W)
        for block, *own in zip(self.blocks, modulation[0::3], modulation[1::3], modulation[2::3], strict=True):
            x = block(x, *own)
        return self.head(self.norm(x)).unflatten(1, chunk.shape[1:])

    def _embedded(self, t: Tensor) -> Tensor:
        """Steps (B,) -> (B, context)."""
        if torch.compiler.is_exporting() or asynchronous(t.device) or len(t) == 1:
            return self.embed_step(t)
        steps, index = t.unique(return_inverse=True)  # no faster, but published episodes were rounded so
        return self.embed_step(steps)[index]
