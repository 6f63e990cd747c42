"""The contrastive loss of SimCLR (Chen et al. 2020, Eq. 1).

B images, D dimensions of an embedding.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limits import number


class NTXent(nn.Module):
    """Normalised, temperature-scaled cross entropy: two views of an image are to find each other among all views.

    For each of the 2 B embeddings z: -log of the softmax, over all others, of cosine similarities / `temperature`, at
    the other view of the same image.

    Args:
        temperature: the lower, the more the most similar among the other images count.
    """

    def __init__(self, temperature: float = 0.5):
        super().__init__()
        number("[1e-3, inf)", temperature=temperature)
        self.temperature = temperature

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """The mean over all embeddings of B >= 2 images, in float32: (B, D), (B, D) -> ().

        Raises ValueError for a single image, which has no others to be told from.
        """
        if len(one) < 2:
            raise ValueError(f"a contrastive loss needs at least 2 images in a batch; got {len(one)}")
        embeddings = F.normalize(torch.cat([one, other]).float())  # (2 B, D)
        with torch.autocast(embeddings.device.type, enabled=False):
            similarity = embeddings @ embeddings.T / self.temperature  # (2 B, 2 B)
        itself = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
        counterpart = torch.arange(len(similarity), device=similarity.device).roll(len(one))
        return F.cross_entropy(similarity.masked_fill(itself, -math.inf), counterpart)
