"""Two convolutional networks for small images: a residual network to read, and a fast one to use.

B batch, C channels, H height, W width, K classes, k width of a kernel.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limits import number, whole
from networks.image_shape import image_shape
from networks.statistics_flag import StatisticsFlag
from networks.whitening import whitening_filters

STEM_SIDE = 32  # pixels; images are halved to at least this much before the first block


class ResNet(nn.Module):
    """A residual network (He et al. 2015): images (B, C, H, W) -> logits (B, K).

    A 3 x 3 convolution, then stages of residual blocks, each at half the resolution of the one before it, then the
    mean over all positions and a linear layer. The blocks begin at less than 64 pixels of the shorter side: of larger
    images the first convolution has stride 2 and, from 128 pixels on, max-pooling follows, as in He et al.

    Args:
        shape: C, H, W, any; it takes images of other sizes too.
        num_classes: K.
        widths: channels of each stage; the first convolution has as many as the first.
        blocks: residual blocks in a stage.
    """

    def __init__(self, shape: Sequence[int], num_classes: int, widths: Sequence[int] = (64, 128, 256), blocks: int = 2):
        super().__init__()
        in_channels, *sides = image_shape(shape)
        for width in widths:
            whole(widths=width)
        whole(num_classes=num_classes, blocks=blocks)
        if not widths:
            raise ValueError("widths=[] must name at least one")
        halvings = doublings(min(sides), STEM_SIDE)
        self.first = nn.Conv2d(in_channels, widths[0], 3, 2 if halvings else 1, padding=1, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU()]
        if halvings > 1:
            layers.append(nn.MaxPool2d(2 ** (halvings - 1)))
        width = widths[0]
        for stage, wider in enumerate(widths):
            for block in range(blocks):
                layers.append(ResidualBlock(width, wider, stride=2 if stage and not block else 1))
                width = wider
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """What the last layer reads: (B, C, H, W) -> (B, width)."""
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        return self.blocks(x).mean((2, 3))

    def first_filters(self) -> Tensor:
        """Weights of the first convolution: (width, C, 3, 3)."""
        return self.first.weight


class ResidualBlock(nn.Module):
    """y = ReLU(F(x) + x): two 3 x 3 convolutions beside a shortcut, which is 1 x 1 where the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        whole(in_channels=in_channels, out_channels=out_channels, stride=stride)
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))


class WhitenedCNN(nn.Module):
    """A network that learns in few epochs, after Jordan 2024 (arXiv:2404.00498): (B, C, H, W) -> logits (B, K).

    The first layer is not learned: it whitens patches of 2 x 2 pixels (`networks.whitening`). Three groups of
    convolutions follow, each at half the resolution of the one before it; the largest value of each channel over all
    positions goes to a linear layer. It takes images of any size from 16 x 16.

    Args:
        shape: C, H, W; it takes images of other sizes too.
        num_classes: K.
        widths: channels of the groups; by default `whitened_widths`.
        depth: convolutions in a group; from 3 on, those after the first have a shortcut around them.
        norm_momentum: weight of the newest batch in the running statistics of batch norm.
    """

    first_weight: Tensor  # (8 C, C, 2, 2)

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int,
        widths: Sequence[int] | None = None,
        depth: int = 2,
        norm_momentum: float = 0.1,
    ):
        super().__init__()
        widths = whitened_widths(shape) if widths is None else widths
        for width in widths:
            whole(widths=width)
        whole(num_classes=num_classes)
        if not widths:
            raise ValueError("widths=[] must name at least one")
        in_channels, *sides = image_shape(shape)
        if min(sides) < smallest_side(len(widths)):
            raise ValueError(
                f"shape={list(shape)} is too small for {len(widths)} widths: images must be at least "
                f"{smallest_side(len(widths))} pixels high and wide; networks.cnn.ResNet (CNNClassifier) takes any size"
            )
        patch = 2 * 2 * in_channels
        self.register_buffer("first_weight", torch.eye(patch).reshape(patch, in_channels, 2, 2).repeat(2, 1, 1, 1))
        self.first_weight[patch:].neg_()
        self.whitened = StatisticsFlag()  # of first_weight
        groups = zip([2 * patch, *widths], widths, strict=False)
        self.groups = nn.Sequential(*(ConvGroup(narrow, wide, depth, norm_momentum) for narrow, wide in groups))
        self.head = nn.Linear(widths[-1], num_classes, bias=False)
        nn.init.normal_(self.head.weight, std=1 / widths[-1])

    def whiten(self, images: Tensor) -> None:
        """Set the first layer's weights so that its outputs on these normalised images, (N, C, H, W), are white."""
        self.first_weight.copy_(whitening_filters(images))
        self.whitened.set()

    def first_filters(self) -> Tensor:
        """Weights of the first layer: (8 C, C, 2, 2)."""
        return self.first_weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """What the last layer reads: (B, C, H, W) -> (B, width)."""
        x = F.gelu(F.conv2d(x.contiguous(memory_format=torch.channels_last), self.first_weight))
        return self.groups(x).amax((2, 3))


def doublings(side: int, base: int) -> int:
    """How often `base` pixels can be doubled within `side`, at least 0.

    >>> [doublings(side, 32) for side in (8, 32, 63, 64, 256)]
    [0, 0, 0, 1, 3]
    """
    whole(side=side, base=base)
    return max(0, (side // base).bit_length() - 1)


def whitened_widths(shape: Sequence[int]) -> tuple[int, ...]:
    """Channels of a `WhitenedCNN`'s groups that suit a size: three groups, and one more of 64 for each doubling of 32.

    >>> whitened_widths((3, 32, 32)), whitened_widths((3, 128, 128))
    ((64, 256, 256), (64, 64, 64, 256, 256))
    """
    return (64,) * (1 + doublings(min(image_shape(shape)[1:]), 32)) + (256, 256)


def smallest_side(groups: int) -> int:
    """Least height and width of an image, pixels, for a `WhitenedCNN` of so many groups, each of which halves it."""
    whole(1, 12, groups=groups)
    return max(16, 2**groups + 1)


class ConvGroup(nn.Module):
    """Convolution, max-pool, then `depth` - 1 more convolutions: (B, C, H, W) -> (B, C', H / 2, W / 2)."""

    def __init__(self, in_channels: int, out_channels: int, depth: int, norm_momentum: float = 0.1):
        super().__init__()
        whole(depth=depth)
        number("(0, 1]", norm_momentum=norm_momentum)
        widths = [in_channels] + [out_channels] * depth
        self.convs = nn.ModuleList(Conv(widths[i], out_channels) for i in range(depth))
        # Scales are not learned: the next layer's normalisation would undo them.
        self.norms = nn.ModuleList(nn.BatchNorm2d(out_channels, momentum=norm_momentum) for _ in range(depth))
        for norm in self.norms:
            norm.weight.requires_grad = False

    def forward(self, x: Tensor) -> Tensor:
        x = shortcut = F.gelu(self.norms[0](F.max_pool2d(self.convs[0](x), 2)))
        if len(self.convs) == 1:
            return x
        for conv, norm in zip(self.convs[1:-1], self.norms[1:-1], strict=True):
            x = F.gelu(norm(conv(x)))
        x = self.norms[-1](self.convs[-1](x))
        return F.gelu(x + shortcut if len(self.convs) > 2 else x)


class Conv(nn.Module):
    """A 3 x 3 convolution whose weight is a matrix (C', 9 C), one row per filter, as `torch.optim.Muon` needs it.

    It begins as the identity on the first channels (Zagoruyko & Komodakis 2017), and random beyond them.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        whole(in_channels=in_channels, out_channels=out_channels)
        weight = torch.empty(out_channels, in_channels, 3, 3)
        nn.init.kaiming_uniform_(weight, a=5**0.5)
        nn.init.dirac_(weight[:in_channels])
        self.weight = nn.Parameter(weight.permute(0, 2, 3, 1).flatten(1))  # channels last

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.unflatten(1, (3, 3, -1)).permute(0, 3, 1, 2), padding=1)
