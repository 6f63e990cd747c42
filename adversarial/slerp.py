"""Spherical linear interpolation, for latents.

B batch, Z latent.
"""

import math

from torch import Tensor

from limits import number


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """A point on the great circle from start to end, its length in proportion (White 2016, Sec. 2.2).

    On the straight line, the middle would be shorter than nearly every normal draw: no generator is trained on such.

    Args:
        start, end: (B, Z).
        share: 0 is the start, 1 the end.

    Returns (B, Z). Raises ValueError where start and end point the same way or opposite ways.
    """
    number("[0, 1]", share=share)
    lengths = [x.norm(dim=1, keepdim=True) for x in (start, end)]
    a, b = start / lengths[0], end / lengths[1]
    angle = (a * b).sum(1, keepdim=True).clamp(-1, 1).acos()
    if float(angle.min()) < 1e-4 or float(angle.max()) > math.pi - 1e-4:  # the great circle is not unique
        raise ValueError("there is no great circle between latents that are the same or opposite")
    direction = (((1 - share) * angle).sin() * a + (share * angle).sin() * b) / angle.sin()
    return direction * ((1 - share) * lengths[0] + share * lengths[1])
