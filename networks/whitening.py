"""Whitening of image patches: filters whose outputs on given images have variance 1 and are not correlated.

N images, C channels, H height, W width, k side of a patch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from limits import number, whole


def whitening_filters(images: Tensor, size: int = 2, eps: float = 5e-4) -> Tensor:
    """Convolution weights (2 C k^2, C, k, k) that whiten patches of k x k pixels (Jordan 2024, Sec. 3.2).

    With the second moment S = E L E^T of all patches, the rows of (L + eps)^(-1/2) E^T give outputs of variance 1 that
    are not correlated. The second half of the filters is the negative of the first, so that both signs survive an
    activation.

    Args:
        images: (N, C, H, W), normalised, at least k pixels high and wide.
        size: k.
        eps: added to the variances, so that directions without any are not blown up.

    Returns:
        in the dtype of the images; computed in float64.
    """
    whole(1, min(images.shape[-2:]), size=size)
    number("(0, inf)", eps=eps)
    patches = F.unfold(images, size).movedim(1, -1).flatten(0, 1).double()  # (N H' W', C k^2)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / (values + eps).sqrt()).T.reshape(-1, images.shape[1], size, size)
    return torch.cat([filters, -filters]).to(images.dtype)
