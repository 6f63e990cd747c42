"""A denoiser for small images: a residual U-Net that computes nothing at full resolution.

Ronneberger et al. 2015 (the U), Ho et al. 2020 (blocks, time, attention), Dhariwal & Nichol 2021 (scale and shift).
Images are folded 2 x 2 to a quarter of the positions with four times the channels: on a CPU, convolutions at few
positions with many channels take less time than the same arithmetic at many with few, and neighbouring pixels are
nearly equal.

B batch, C channels, H height, W width, K classes, D width of the condition.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limits import number, whole
from networks.attention import AttentionContext, SelfAttention
from networks.embeddings import SinusoidalEmbedding, StepEmbedding
from networks.image_shape import image_shape

GROUP = 16  # channels that share their statistics in a normalisation
HEAD = 64  # channels of an attention head
WIDTHS = (64, 64, 64, 128, 192, 256)  # channels of the levels of images of 256 pixels; smaller ones have the last
LOWEST = 4  # pixels of the lowest resolution, at least
FOLD = 2  # pixels of a side that become channels


class UNet2D(nn.Module):
    """Images (B, C, H, W) with noise, steps (B,), classes (B,) from 0 to K, where K is no class -> (B, C, H, W).

    Args:
        shape: C, H, W.
        num_classes: K.
        widths: channels of the levels, each at half the resolution of the one before it; the first is at half the
            images'. By default `level_widths`.
        blocks: residual blocks of a level, on the way down and again on the way up.
        attention: how many of the levels, counted from the lowest resolution, attend; all, where there are fewer.
        dropout: probability of dropout within the blocks.
    """

    def __init__(
        self,
        shape: Sequence[int] = (3, 32, 32),
        num_classes: int = 10,
        widths: Sequence[int] | None = None,
        blocks: int = 1,
        attention: int = 1,
        dropout: float = 0.0,
    ):
        super().__init__()
        widths = level_widths(shape) if widths is None else widths
        whole(1, 1_000_000, num_classes=num_classes)
        whole(1, 100, blocks=blocks, levels=len(widths))
        whole(0, 100, attention=attention)
        for width in widths:
            whole(1, 2**14, widths=width)
        number("[0, 1]", dropout=dropout)
        channels, *sides = image_shape(shape)
        factor = FOLD * 2 ** (len(widths) - 1)
        if any(side % factor for side in sides):
            raise ValueError(
                f"shape={list(shape)}: images of {' x '.join(map(str, sides))} cannot be halved {len(widths)} times; "
                f"sides must be divisible by {factor} (= 2 ** number of widths {tuple(widths)}): take fewer widths"
            )
        if any(width % HEAD for width in widths):
            raise ValueError(f"widths={tuple(widths)} must be divisible by {HEAD}, the width of an attention head")
        condition = 4 * widths[0]
        self.embed_step = StepEmbedding(
            SinusoidalEmbedding(widths[0]), nn.Linear(widths[0], condition), nn.SiLU(), nn.Linear(condition, condition)
        )
        self.embed_class = nn.Embedding(num_classes + 1, condition)
        nn.init.normal_(self.embed_class.weight, std=0.1)
        self.first = nn.Conv2d(FOLD**2 * channels, widths[0], 3, padding=1)
        attends = [level >= len(widths) - attention for level in range(len(widths))]
        ways = list(zip([widths[0], *widths[:-1]], widths, attends, strict=True))
        self.down = nn.ModuleList(Level(narrow, wide, blocks, condition, see, dropout) for narrow, wide, see in ways)
        self.up = nn.ModuleList(
            Level(2 * wide, narrow, blocks, condition, see, dropout) for narrow, wide, see in reversed(ways)
        )
        self.middle = Block(widths[-1], widths[-1], condition, dropout)
        self.norm = nn.GroupNorm(widths[0] // GROUP, widths[0])
        self.head = nn.Conv2d(widths[0], FOLD**2 * channels, 3, padding=1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Noisy images (B, C, H, W), steps (B,) and classes (B,) -> a prediction (B, C, H, W)."""
        condition = F.silu(self.embed_step(t) + self.embed_class(labels))  # (B, D)
        x = F.pixel_unshuffle(x, FOLD).contiguous(memory_format=torch.channels_last)
        x = self.first(x)  # (B, widths[0], H / 2, W / 2)
        skips = []
        for depth, level in enumerate(self.down):
            x = level(F.avg_pool2d(x, 2) if depth else x, condition)
            skips.append(x)
        x = self.middle(x, condition)
        for height, level in enumerate(self.up):
            x = F.interpolate(x, scale_factor=2.0) if height else x
            x = level(torch.cat([x, skips.pop()], 1), condition)
        return F.pixel_shuffle(self.head(F.silu(self.norm(x))), FOLD)


def level_widths(shape: Sequence[int]) -> tuple[int, ...]:
    """Channels of a `UNet2D`'s levels that suit a size: as many levels as leave 4 pixels, with fewer channels above.

    Raises ValueError for images that cannot be halved.

    >>> [level_widths((3, side, side)) for side in (8, 28, 32, 64)]
    [(256,), (192, 256), (128, 192, 256), (64, 128, 192, 256)]
    """
    _, *sides = image_shape(shape)
    levels = 0
    while levels < len(WIDTHS) and all(side % 2 == 0 and side >= 2 * LOWEST for side in sides):
        sides, levels = [side // 2 for side in sides], levels + 1
    if not levels:
        fitting = [max(2 * LOWEST, side + side % 2) for side in sides]
        raise ValueError(
            f"shape={list(shape)}: a U-Net halves images; sides must be even, and at least {2 * LOWEST} pixels: take "
            f"{fitting[0]} x {fitting[1]}, or multiples of 8"
        )
    return WIDTHS[-levels:]


class Level(nn.Module):
    """Blocks at one resolution, the last one followed by attention where asked for: (B, C, h, w) -> (B, C', h, w)."""

    def __init__(
        self, in_channels: int, out_channels: int, blocks: int, condition: int, attention: bool, dropout: float
    ):
        super().__init__()
        whole(1, 100, blocks=blocks)
        widths = [in_channels] + [out_channels] * blocks
        self.blocks = nn.ModuleList(Block(widths[i], out_channels, condition, dropout) for i in range(blocks))
        self.attention = Attention(out_channels) if attention else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, condition)
        return self.attention(x)


class Block(nn.Module):
    """Two convolutions beside a shortcut; the condition (B, D) scales and shifts between them."""

    def __init__(self, in_channels: int, out_channels: int, condition: int, dropout: float):
        super().__init__()
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            whole(1, 2**16, **{name: channels})
            if channels % GROUP:
                raise ValueError(
                    f"{name}={channels} must be divisible by {GROUP}, the channels of a normalisation's group"
                )
        whole(1, 2**16, condition=condition)
        number("[0, 1]", dropout=dropout)
        self.norms = nn.ModuleList(
            nn.GroupNorm(channels // GROUP, channels, affine=learned)
            for channels, learned in ((in_channels, True), (out_channels, False))
        )
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, out_channels, 3, padding=1) for channels in (in_channels, out_channels)
        )
        for parameter in self.convs[1].parameters():  # every block begins as its shortcut
            nn.init.zeros_(parameter)
        self.modulation = nn.Linear(condition, 2 * out_channels)
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[..., None, None].chunk(2, 1)  # (B, C', 1, 1)
        inner = self.norms[1](self.convs[0](F.silu(self.norms[0](x))))
        inner = self.convs[1](self.dropout(F.silu(inner * (1 + scale) + shift)))
        return self.shortcut(x) + inner


class Attention(nn.Module):
    """Every position attends to every other: x + attention(norm(x)), (B, C, h, w) -> the same."""

    def __init__(self, width: int):
        super().__init__()
        whole(1, 2**14, width=width)
        if width % HEAD:
            raise ValueError(f"width={width} must be divisible by {HEAD}, the width of an attention head")
        self.norm = nn.GroupNorm(width // GROUP, width)
        self.attention = SelfAttention(width, width // HEAD)
        nn.init.zeros_(self.attention.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        places = self.norm(x).flatten(2).transpose(1, 2)  # (B, h w, C)
        return x + self.attention(places, AttentionContext()).transpose(1, 2).unflatten(2, x.shape[2:])
