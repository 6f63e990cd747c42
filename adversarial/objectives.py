"""What generator and discriminator want: pairs of functions of the discriminator's logits.

D(x) = sigmoid(logit) is the probability that x is real. All losses are to be lowered, and are computed from logits, so
that a discriminator that is sure of itself gives neither infinities nor zeros: log D = -softplus(-logit) and
log(1 - D) = -softplus(logit).

B batch; logits are (B,), of real pictures and of generated ones.
"""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Objective(NamedTuple):
    """Losses of both networks, each a function of (real logits, fake logits).

    `paired` says that the generator's loss needs the real logits; otherwise it is given None for them.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor | None, Tensor], Tensor]
    paired: bool = False


def cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """-V(D, G) of Goodfellow et al. 2014, Eq. 1: -E log D(x) - E log(1 - D(G(z))), log 4 where D can tell nothing."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def saturating(real: Tensor | None, fake: Tensor) -> Tensor:
    """The generator's part of V: E log(1 - D(G(z))). It has hardly any gradient while D is sure."""
    return -F.softplus(fake).mean()


def non_saturating_generator(real: Tensor | None, fake: Tensor) -> Tensor:
    """-E log D(G(z)) (Goodfellow et al. 2014, Sec. 3): the same goal, with most gradient where D is sure."""
    return F.softplus(-fake).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) with logits for D (Lim & Ye 2017, Eq. 3; Miyato et al. 2018)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(real: Tensor | None, fake: Tensor) -> Tensor:
    """-E D(G(z)) with logits for D (Lim & Ye 2017, Eq. 4)."""
    return -fake.mean()


def more_real(real: Tensor, fake: Tensor) -> Tensor:
    """E softplus(fake - real) over pairs (Jolicoeur-Martineau 2018, Eq. 3; R3GAN, Huang et al. 2024, Eq. 2)."""
    return F.softplus(fake - real).mean()


def less_real(real: Tensor, fake: Tensor) -> Tensor:
    """The same with exchanged roles, for the generator."""
    return F.softplus(real - fake).mean()


minimax = Objective(cross_entropy, saturating)
non_saturating = Objective(cross_entropy, non_saturating_generator)
hinge = Objective(hinge_discriminator, hinge_generator)
relativistic = Objective(more_real, less_real, paired=True)
OWN = ("minimax", "non_saturating", "hinge", "relativistic")


def find(name: str) -> Objective:
    """One of `OWN`, or a pair of your own by its dotted name, such as "my_package.my_module.my_objective"."""
    if name in OWN:
        return globals()[name]
    place, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(place), attribute)
    except (ImportError, AttributeError, ValueError):
        found = None
    if not isinstance(found, Objective):
        raise ValueError(
            f"objective={name!r} is unknown; use one of {', '.join(OWN)}, or the dotted name of your own Objective"
        )
    return found


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """E |grad_x logit(x)|^2, to be weighed by gamma / 2 (Mescheder et al. 2018, Eq. 9): R1 on real pictures, R2 on
    generated ones. `images` (B, C, H, W) must require gradients; the result can be differentiated again."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.float().square().sum((1, 2, 3)).mean()
