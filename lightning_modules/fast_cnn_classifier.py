"""Images to classes by a convolutional network that learns in few epochs."""

from collections.abc import Sequence
from functools import partial

from lightning_modules.classifier import Classifier
from limits import number, whole
from networks.cnn import WhitenedCNN, smallest_side, whitened_widths
from networks.image_shape import image_shape
from optim.muon_with_sgd import MuonWithSGD
from optim.parameter_groups import OptimizerFactory
from optim.progressive_resizing import ProgressiveResizing
from optim.selection_via_proxy import SelectionViaProxy


class FastCNNClassifier(Classifier):
    """A `Classifier` on `networks.cnn.WhitenedCNN`, trained by `optim.muon_with_sgd.MuonWithSGD`.

    Args:
        widths: channels of each group of convolutions; by default as the size of the images asks
            (`networks.cnn.whitened_widths`).
        depth: convolutions in a group.
        norm_momentum: weight of the newest batch in the running statistics of batch norm.
        small_size: height and width of small images; by default three quarters of the shorter side.
        small_share: share of the steps, from the first on, that train on small images (`optim.progressive_resizing`); 0
            for whole images from the beginning.
        hard_share: share of each batch that is trained on, the hardest part (`optim.selection_via_proxy`); 1 for all of
            it, and no proxy.
        proxy_widths: channels of each group of the proxy, a network of the same kind, which sees small images.
        shape: C, H, W of the images.
        optimizer: as `Classifier`'s.
        **options: those of `Classifier`.
    """

    def __init__(
        self,
        widths: Sequence[int] | None = None,
        depth: int = 2,
        norm_momentum: float = 0.1,
        small_size: int | None = None,
        small_share: float = 0.0,
        hard_share: float = 1.0,
        proxy_widths: Sequence[int] = (32, 64, 64),
        shape: Sequence[int] = (1, 28, 28),
        optimizer: OptimizerFactory = MuonWithSGD,
        **options,
    ):
        if not 0 <= small_share < 1:
            raise ValueError(
                f"small_share={small_share} must be at least 0 and less than 1: the end needs whole images"
            )
        number("(0, 1]", hard_share=hard_share)
        widths, side = whitened_widths(shape) if widths is None else widths, min(image_shape(shape)[1:])
        groups = max(len(widths), len(proxy_widths), 1)
        if side < smallest_side(groups):
            raise ValueError(
                f"shape={list(shape)} is too small for {groups} widths: images must be at least "
                f"{smallest_side(groups)} pixels high and wide; CNNClassifier takes any size"
            )
        small_size = max(smallest_side(groups), 3 * side // 4) if small_size is None else small_size
        if not smallest_side(groups) <= small_size <= side:
            raise ValueError(
                f"small_size={small_size} must lie between {smallest_side(groups)} and {side}: "
                f"shape={list(shape)}, {groups} widths"
            )
        for width in proxy_widths:
            whole(proxy_widths=width)
        proxy = partial(WhitenedCNN, widths=proxy_widths)
        super().__init__(
            network=partial(WhitenedCNN, widths=widths, depth=depth, norm_momentum=norm_momentum),
            progressive_resizing=ProgressiveResizing(small_size, small_share) if small_share else None,
            selection=SelectionViaProxy(proxy, hard_share, small_size) if hard_share < 1 else None,
            shape=shape,
            optimizer=optimizer,
            **options,
        )
        self.save_hyperparameters(
            {
                "widths": list(widths),
                "depth": depth,
                "norm_momentum": norm_momentum,
                "small_size": small_size,
                "small_share": small_share,
                "hard_share": hard_share,
                "proxy_widths": list(proxy_widths),
            }
        )
