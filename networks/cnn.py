"""Two convolutional networks for small pictures: a residual network to read, and a fast one to use.

B batch, C channels, H height, W width, K classes, k width of a kernel.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limits import number, whole
from networks.measured import Measured


class ResNet(nn.Module):
    """A residual network (He et al. 2015): pictures (B, C, H, W) -> logits (B, K).

    A 3 x 3 convolution, then stages of residual blocks, each at half the resolution of the one before it, then the
    mean over all places and a linear layer.

    Args:
        in_channels: C.
        num_classes: K.
        widths: channels of each stage; the first convolution has as many as the first.
        blocks: residual blocks in a stage.
    """

    def __init__(self, in_channels: int, num_classes: int, widths: Sequence[int] = (64, 128, 256), blocks: int = 2):
        super().__init__()
        for width in widths:
            whole(widths=width)
        whole(in_channels=in_channels, num_classes=num_classes, blocks=blocks)
        if not widths:
            raise ValueError("widths=[] must name at least one")
        self.first = nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU()]
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
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))


class WhitenedCNN(nn.Module):
    """A network that learns in few epochs, after Jordan 2024 (arXiv:2404.00498): (B, C, H, W) -> logits (B, K).

    The first layer is not learned: it whitens patches of 2 x 2 pixels (`whiten`). Three groups of convolutions follow,
    each at half the resolution of the one before it; the largest value over all places of each channel goes to a linear
    layer. It takes pictures of any size from 16 x 16.

    Args:
        in_channels: C.
        num_classes: K.
        widths: channels of the groups.
        depth: convolutions in a group; from 3 on, those after the first have a shortcut around them.
        norm_momentum: share of a batch in the running statistics of the batch norms.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        widths: Sequence[int] = (64, 256, 256),
        depth: int = 2,
        norm_momentum: float = 0.1,
    ):
        super().__init__()
        for width in widths:
            whole(widths=width)
        whole(in_channels=in_channels, num_classes=num_classes)
        if not widths:
            raise ValueError("widths=[] must name at least one")
        patch = 2 * 2 * in_channels
        self.register_buffer("first_weight", torch.eye(patch).reshape(patch, in_channels, 2, 2).repeat(2, 1, 1, 1))
        self.first_weight[patch:].neg_()
        self.whitened = Measured()  # first_weight
        groups = zip([2 * patch, *widths], widths, strict=False)
        self.groups = nn.Sequential(*(ConvGroup(narrow, wide, depth, norm_momentum) for narrow, wide in groups))
        self.head = nn.Linear(widths[-1], num_classes, bias=False)
        nn.init.normal_(self.head.weight, std=1 / widths[-1])

    def filters(self) -> list[Tensor]:
        """The learned convolutions' weights, a matrix each, one row a filter."""
        return [conv.weight for group in self.groups for conv in group.convs]

    def whiten(self, images: Tensor) -> None:
        """Set the first layer's weights so that its outputs on these pictures, (N, C, H, W), are white.

        With covariance S = E L E^T of all patches, rows of L^(-1/2) E^T give outputs of variance 1 that are not
        correlated; each comes with its negative, so that what follows sees both signs.
        """
        patches = F.unfold(images, 2).movedim(1, -1).flatten(0, 1).double()  # (N H' W', 4 C)
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / (values + 5e-4).sqrt()).T.reshape(-1, *self.first_weight.shape[1:])
        self.first_weight.copy_(torch.cat([filters, -filters]))
        self.whitened.note()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """What the last layer reads: (B, C, H, W) -> (B, width)."""
        x = F.gelu(F.conv2d(x.contiguous(memory_format=torch.channels_last), self.first_weight))
        return self.groups(x).amax((2, 3))


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
    """A 3 x 3 convolution whose weight is a matrix (C', 9 C), one row a filter, as `torch.optim.Muon` needs it.

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
