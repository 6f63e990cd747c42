"""Stage 4: the objectives of GANs."""

import math
from typing import Any

import torch

from adversarial import gradient_penalty, objectives, slerp
from exercises.exercise import Stage
from exercises.grading import same

STAGE = Stage("GAN: two networks against each other")


def probabilities(real: list[float], fake: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of these probabilities to be real, in float64."""
    return torch.tensor(real, dtype=torch.float64).logit(), torch.tensor(fake, dtype=torch.float64).logit()


@STAGE.exercise(objectives.Minimax.discriminator_loss, level=1)
def discriminator_loss(answer: Any) -> None:
    """The discriminator's loss.

    -mean log D(x) over real images - mean log(1 - D(G(z))) over generated ones, where D = sigmoid(logit).
    From logits, without a logarithm of zero: -log sigmoid(x) = softplus(-x).
    """
    real, fake = probabilities([0.9, 0.5, 0.8], [0.2, 0.4])
    expected = -(math.log(0.9) + math.log(0.5) + math.log(0.8)) / 3 - (math.log(0.8) + math.log(0.6)) / 2
    loss = answer.Minimax().discriminator_loss
    same("loss where D is 0.9, 0.5, 0.8 on real and 0.2, 0.4 on fake images", loss(real, fake), expected)
    same("loss of a discriminator that is sure and wrong", loss(torch.tensor([-200.0]), torch.tensor([300.0])), 500.0)


@STAGE.exercise(objectives.NonSaturating.generator_loss, level=1)
def non_saturating_loss(answer: Any) -> None:
    """The generator's loss, not saturating.

    -mean log D(G(z)). Where D is sure that an image is generated, the loss of the minimax game, log(1 - D), is flat;
    this one is steepest there.
    """
    _, fake = probabilities([0.5], [0.2, 0.4])
    loss = answer.NonSaturating().generator_loss
    same("loss where D is 0.2 and 0.4 on generated images", loss(None, fake), -(math.log(0.2) + math.log(0.4)) / 2)
    logit = torch.tensor([-200.0], requires_grad=True)
    value = loss(None, logit)
    same("loss where D is sure: the logit is -200", value, 200.0)
    value.backward()
    same("its gradient", logit.grad, torch.tensor([-1.0]))


@STAGE.exercise(gradient_penalty.gradient_penalty, level=2)
def r1_penalty(answer: Any) -> None:
    """The gradient penalties R1 and R2.

    The mean over the images of the squared length of d logit / d image. `torch.autograd.grad` gives the gradients of
    all images at once, since each logit depends on its own image alone. The discriminator learns from the result, so
    it must be possible to differentiate it once more.
    """
    images = torch.linspace(-1, 1, 2 * 3 * 2 * 2, dtype=torch.float64).reshape(2, 3, 2, 2).requires_grad_()
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    penalty = answer.gradient_penalty(weight * images.square().sum((1, 2, 3)), images)
    mean = float(images.detach().square().sum() / 2)
    same("penalty of the logit w |x|^2, w = 2", penalty, 4 * 2**2 * mean)
    penalty.backward()
    same("its gradient with respect to w", weight.grad, 8 * 2 * mean)


@STAGE.exercise(slerp.slerp, level=2)
def latent_slerp(answer: Any) -> None:
    """From latent to latent on a great circle.

    With the angle o between a and b, both of length 1: (sin((1 - s) o) a + sin(s o) b) / sin(o). Latents (B, Z) have
    other lengths: divide them out, and give the result a length in proportion, (1 - s) |a| + s |b|.
    """
    start, end = torch.tensor([[2.0, 0, 0], [0, 1, 0]]), torch.tensor([[0, 4.0, 0], [0, -0.5, math.sqrt(3) / 2]])
    third = torch.tensor([[math.cos(math.pi / 6), math.sin(math.pi / 6), 0]]) * (2 + 2 / 3)
    same("a third of a quarter circle, from length 2 to 4", answer.slerp(start, end, 1 / 3)[:1], third)
    half = torch.tensor([[0, 0.5, math.sqrt(3) / 2]])
    same("the middle of 120 degrees", answer.slerp(start, end, 0.5)[1:], half)
    same("the start", answer.slerp(start, end, 0.0), start)
    same("the end", answer.slerp(start, end, 1.0), end)
