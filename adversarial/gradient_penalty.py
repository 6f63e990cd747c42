"""The gradient penalties R1 and R2 of a discriminator (Mescheder et al. 2018).

B batch, C channels, H height, W width.
"""

import torch
from torch import Tensor


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """E |grad_x logit(x)|^2, to be weighted by gamma / 2 (Eq. 9): R1 on real images, R2 on generated ones.

    Args:
        logits: (B,), each of which depends on its own image alone.
        images: (B, C, H, W), which require gradients.

    Returns a scalar that can be differentiated again.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.float().square().sum((1, 2, 3)).mean()
