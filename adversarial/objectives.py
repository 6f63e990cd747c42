"""Objectives of GANs: the two losses, of generator and discriminator, on the discriminator's logits.

D(x) = sigmoid(logit) is the probability that x is real. All losses are minimised, and are computed from logits, so
that a discriminator that is sure of itself gives neither infinities nor zeros: log D = -softplus(-logit) and
log(1 - D) = -softplus(logit).

B batch; logits are (B,), of real images and of generated ones.
"""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor


class GANObjective(ABC):
    """The losses of both networks.

    Attributes:
        paired: whether the generator's loss needs the real logits; otherwise it is given None for them.
    """

    paired = False

    @abstractmethod
    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss, a scalar, of real and fake logits (B,)."""

    @abstractmethod
    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """The generator's loss, a scalar, of fake logits (B,), and of real ones where it is `paired`."""


class Minimax(GANObjective):
    """Both networks play for V(D, G) of Goodfellow et al. 2014, Eq. 1.

    The generator has hardly any gradient while the discriminator is sure.
    """

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """-V: -E log D(x) - E log(1 - D(G(z))), the cross-entropy; log 4 where D cannot tell them apart."""
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """The generator's part of V: E log(1 - D(G(z)))."""
        return -F.softplus(fake).mean()


class NonSaturating(Minimax):
    """`Minimax`, but the generator has most gradient where D is sure (Goodfellow et al. 2014, Sec. 3)."""

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """-E log D(G(z))."""
        return F.softplus(-fake).mean()


class Hinge(GANObjective):
    """Margins instead of probabilities (Lim & Ye 2017, Eq. 3 and 4; Miyato et al. 2018, Eq. 16 and 17)."""

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) with logits for D."""
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """-E D(G(z)) with logits for D."""
        return -fake.mean()


class Relativistic(GANObjective):
    """Which image of a pair is the real one; only differences of logits count.

    Jolicoeur-Martineau 2018, Eq. 3; R3GAN, Huang et al. 2024, Eq. 2.
    """

    paired = True

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """E softplus(fake - real) over pairs."""
        return F.softplus(fake - real).mean()

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """The same with exchanged roles: E softplus(real - fake)."""
        assert real is not None  # `paired`
        return F.softplus(real - fake).mean()
