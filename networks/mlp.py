"""A multi-layer perceptron: an image as one long vector.

B batch, C channels, H height, W width, F = C H W numbers in an image, K classes.
"""

import math
from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from limits import number, whole
from networks.image_shape import image_shape


class MLP(nn.Module):
    """Images (B, C, H, W) -> logits (B, K). Without hidden layers it is a linear map.

    Args:
        shape: C, H, W.
        num_classes: K.
        hidden: widths of the hidden layers, each with ReLU.
        dropout: probability that a hidden unit is dropped in training.
        batch_norm: normalise each hidden layer over the batch before its ReLU (Ioffe & Szegedy 2015).
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int,
        hidden: Sequence[int] = (256,),
        dropout: float = 0.0,
        batch_norm: bool = False,
    ):
        super().__init__()
        self.shape = image_shape(shape)
        whole(num_classes=num_classes)
        for width in hidden:
            whole(hidden=width)
        number("[0, 1)", dropout=dropout)
        layers: list[nn.Module] = [nn.Flatten()]
        width_before = math.prod(self.shape)
        for width in hidden:
            layers.append(nn.Linear(width_before, width, bias=not batch_norm))  # batch norm has its own offset
            if batch_norm:
                layers.append(nn.BatchNorm1d(width))
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
            width_before = width
        self.layers = nn.Sequential(*layers, nn.Linear(width_before, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    @property
    def head(self) -> nn.Linear:
        """The last layer."""
        return cast(nn.Linear, self.layers[-1])

    def features(self, x: Tensor) -> Tensor:
        """What the last layer reads: (B, C, H, W) -> (B, width)."""
        return self.layers[:-1](x)

    def first_filters(self) -> Tensor:
        """What each unit of the first layer looks for, as an image: (width, C, H, W)."""
        return cast(nn.Linear, self.layers[1]).weight.unflatten(1, self.shape)
