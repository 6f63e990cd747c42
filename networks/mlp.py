"""A multi-layer perceptron: pictures as one long vector.

B batch, F features in, K features out.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from limits import number, whole


class MLP(nn.Module):
    """(B, ...) with F numbers for each example -> (B, K). Without hidden layers it is a linear map.

    Args:
        in_features: F.
        out_features: K.
        hidden: widths of the hidden layers, each with ReLU.
        dropout: probability that a hidden unit is dropped in training.
        batch_norm: normalise each hidden layer over the batch before its ReLU (Ioffe & Szegedy 2015).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int] = (256,),
        dropout: float = 0.0,
        batch_norm: bool = False,
    ):
        super().__init__()
        whole(in_features=in_features, out_features=out_features)
        for width in hidden:
            whole(hidden=width)
        number("[0, 1)", dropout=dropout)
        layers: list[nn.Module] = [nn.Flatten()]
        for width in hidden:
            layers.append(nn.Linear(in_features, width, bias=not batch_norm))  # batch norm has its own offset
            if batch_norm:
                layers.append(nn.BatchNorm1d(width))
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
            in_features = width
        self.layers = nn.Sequential(*layers, nn.Linear(in_features, out_features))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    @property
    def head(self) -> nn.Linear:
        """The last layer."""
        return self.layers[-1]

    def features(self, x: Tensor) -> Tensor:
        """What the last layer reads: (B, ...) -> (B, width)."""
        return self.layers[:-1](x)

    @property
    def first_weight(self) -> Tensor:
        """(width, F): what each unit of the first layer looks for."""
        return self.layers[1].weight
