import math

import pytest
import torch
import torch.nn.functional as F

from adversarial.objectives import GANObjective, Hinge, Minimax, NonSaturating, Relativistic


def logits(seed=0):
    return torch.randn(2, 9, generator=torch.Generator().manual_seed(seed)).double().requires_grad_()


def log_d(x):
    return (1 / (1 + (-x).exp())).log()


TEXTBOOK = {  # V and the generator's goals as papers write them, with D = 1 / (1 + exp(-logit))
    Minimax: (
        lambda real, fake: -(log_d(real).mean() + (1 - log_d(fake).exp()).log().mean()),
        lambda real, fake: (1 - log_d(fake).exp()).log().mean(),
    ),
    NonSaturating: (
        lambda real, fake: -(log_d(real).mean() + (1 - log_d(fake).exp()).log().mean()),
        lambda real, fake: -log_d(fake).mean(),
    ),
    Hinge: (
        lambda real, fake: (-torch.minimum(0 * real, -1 + real)).mean() - torch.minimum(0 * fake, -1 - fake).mean(),
        lambda real, fake: -fake.mean(),
    ),
    Relativistic: (
        lambda real, fake: -log_d(real - fake).mean(),
        lambda real, fake: -log_d(fake - real).mean(),
    ),
}


def losses(kind):
    return kind().discriminator_loss, kind().generator_loss


@pytest.mark.parametrize("kind", TEXTBOOK)
@pytest.mark.parametrize("side", [0, 1], ids=["discriminator", "generator"])
def test_values_and_gradients_are_those_of_the_textbook(kind, side):
    x, y = logits(), logits()
    ours, textbook = losses(kind)[side](*x), TEXTBOOK[kind][side](*y)
    torch.testing.assert_close(ours, textbook, rtol=1e-12, atol=1e-12)
    (own,), (expected,) = torch.autograd.grad(ours, x), torch.autograd.grad(textbook, y)
    torch.testing.assert_close(own, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", TEXTBOOK)
def test_finite_where_the_discriminator_is_sure(kind):
    """Where the textbook's logarithms overflow, and with the slopes that they have there."""
    for sure in (500.0, -500.0):
        x = torch.tensor([[sure], [-sure]]).requires_grad_()
        for loss in losses(kind):
            value = loss(*x)
            (gradient,) = torch.autograd.grad(value, x)
            assert value.isfinite()
            assert gradient.isfinite().all()


def test_the_saturating_generator_has_no_gradient_where_the_other_has_one():
    fake = torch.tensor([-20.0], requires_grad=True)  # the discriminator is sure

    def slope(kind):
        return torch.autograd.grad(kind().generator_loss(None, fake), fake)[0].item()

    assert slope(Minimax) == pytest.approx(-math.exp(-20), rel=1e-4)
    assert slope(NonSaturating) == pytest.approx(-1, rel=1e-6)
    assert slope(Hinge) == -1


def test_at_the_optimum_the_discriminator_is_p_over_p_plus_q():
    """Goodfellow et al. 2014, Prop. 1, on a line of five places with known frequencies."""
    p, q = torch.tensor([8, 4, 2, 1, 1]), torch.tensor([1, 3, 2, 6, 4])
    real, fake = (torch.arange(5).repeat_interleave(n) for n in (p, q))
    table = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([table], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-16)

    def closure():
        optimizer.zero_grad()
        loss = Minimax().discriminator_loss(table[real], table[fake])
        loss.backward()
        return loss

    optimizer.step(closure)
    p, q = p / 16, q / 16
    torch.testing.assert_close(table.detach().sigmoid(), (p / (p + q)).double(), rtol=1e-6, atol=0.0)
    middle = (p + q) / 2
    jensen_shannon = (F.kl_div(middle.log(), p, reduction="sum") + F.kl_div(middle.log(), q, reduction="sum")) / 2
    value = -Minimax().discriminator_loss(table[real], table[fake]).item()
    assert value == pytest.approx(-math.log(4) + 2 * jensen_shannon.item(), rel=1e-6)  # Eq. 5


def test_the_game_on_a_line_ends_where_it_should():
    """The generator, a table of logits, reaches q = p in the minimax game; there D = 1/2 and V = -log 4 (Theorem 1).

    Expectations are exact: every place counts with its probability.
    """
    p = torch.tensor([0.5, 0.3, 0.15, 0.05]).double()
    discriminator, generator = (torch.zeros(4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    game = Minimax()

    def value():
        """V by the losses themselves, one place at a time."""
        q = generator.softmax(0)
        real = sum(p[i] * (game.discriminator_loss(d, d) + game.generator_loss(None, d)) for i, d in each())
        fake = sum(q[i] * game.generator_loss(None, d) for i, d in each())
        return fake - real

    def each():
        return [(i, discriminator[i : i + 1]) for i in range(4)]

    for _ in range(400):
        for _ in range(5):
            (slope,) = torch.autograd.grad(value(), discriminator)
            with torch.no_grad():
                discriminator += 2 * slope  # upwards
        (slope,) = torch.autograd.grad(value(), generator)
        with torch.no_grad():
            generator -= 2 * slope
    torch.testing.assert_close(generator.softmax(0), p, rtol=0.0, atol=1e-3)
    torch.testing.assert_close(discriminator.sigmoid(), torch.full((4,), 0.5).double(), rtol=0.0, atol=2e-3)
    assert value().item() == pytest.approx(-math.log(4), abs=1e-5)


def test_only_the_relativistic_generator_is_given_real_logits():
    assert [kind().paired for kind in TEXTBOOK] == [False, False, False, True]


def test_an_objective_of_ones_own():
    """Least squares (Mao et al. 2017, Eq. 2)."""

    class LeastSquares(GANObjective):
        def discriminator_loss(self, real, fake):
            return (real - 1).square().mean() + fake.square().mean()

        def generator_loss(self, real, fake):
            return (fake - 1).square().mean()

    assert LeastSquares().discriminator_loss(torch.ones(3), torch.zeros(3)) == 0
    assert not LeastSquares().paired
    with pytest.raises(TypeError, match="abstract"):
        GANObjective()
