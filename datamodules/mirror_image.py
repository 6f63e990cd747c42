"""Push-T in the mirror: an augmentation of its demonstrations."""

import torch
from torch import Tensor

from envs import t_block


def mirror(observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    """The same scene in the mirror x + y = 512: (..., 18) and (..., 2) pixels.

    The target, the walls and the physics are their own mirror images, so a mirrored demonstration is as good as a new
    one. (x, y) becomes (512 - y, 512 - x), and the T's left corners become its right ones.
    """
    points = (t_block.WORLD - observation.unflatten(-1, (9, 2))).flip(-1)
    pointer, *corners = points.unbind(-2)
    # Taken one by one: a tensor of their order would have to be copied to a GPU in each step, which waits for it.
    mirrored = torch.stack([pointer, *(corners[corner] for corner in t_block.MIRRORED_CORNERS)], -2)
    return mirrored.flatten(-2), (t_block.WORLD - action).flip(-1)
