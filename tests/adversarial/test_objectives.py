import math

import pytest
import torch
import torch.nn.functional as F

from adversarial import objectives as adversarial
from adversarial.objectives import Objective, find

my_own = Objective(adversarial.cross_entropy, adversarial.hinge_generator)


def logits(seed=0):
    return torch.randn(2, 9, generator=torch.Generator().manual_seed(seed)).double().requires_grad_()


def log_d(x):
    return (1 / (1 + (-x).exp())).log()


TEXTBOOK = {  # V and the generator's goals as papers write them, with D = 1 / (1 + exp(-logit))
    "minimax": (
        lambda real, fake: -(log_d(real).mean() + (1 - log_d(fake).exp()).log().mean()),
        lambda real, fake: (1 - log_d(fake).exp()).log().mean(),
    ),
    "non_saturating": (
        lambda real, fake: -(log_d(real).mean() + (1 - log_d(fake).exp()).log().mean()),
        lambda real, fake: -log_d(fake).mean(),
    ),
    "hinge": (
        lambda real, fake: (-torch.minimum(0 * real, -1 + real)).mean() - torch.minimum(0 * fake, -1 - fake).mean(),
        lambda real, fake: -fake.mean(),
    ),
    "relativistic": (
        lambda real, fake: -log_d(real - fake).mean(),
        lambda real, fake: -log_d(fake - real).mean(),
    ),
}


@pytest.mark.parametrize("name", TEXTBOOK)
@pytest.mark.parametrize("side", [0, 1], ids=["discriminator", "generator"])
def test_values_and_gradients_are_those_of_the_textbook(name, side):
    x, y = logits(), logits()
    ours, textbook = find(name)[side](*x), TEXTBOOK[name][side](*y)
    torch.testing.assert_close(ours, textbook, rtol=1e-12, atol=1e-12)
    (own,), (expected,) = torch.autograd.grad(ours, x), torch.autograd.grad(textbook, y)
    torch.testing.assert_close(own, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", TEXTBOOK)
def test_finite_where_the_discriminator_is_sure(name):
    """Where the textbook's logarithms overflow, and with the slopes that they have there."""
    for sure in (500.0, -500.0):
        x = torch.tensor([[sure], [-sure]]).requires_grad_()
        for loss in find(name)[:2]:
            value = loss(*x)
            (gradient,) = torch.autograd.grad(value, x)
            assert value.isfinite()
            assert gradient.isfinite().all()


def test_the_saturating_generator_has_no_gradient_where_the_other_has_one():
    fake = torch.tensor([-20.0], requires_grad=True)  # the discriminator is sure
    slopes = [torch.autograd.grad(find(name).generator(None, fake), fake)[0].item() for name in ("minimax", "hinge")]
    assert slopes[0] == pytest.approx(-math.exp(-20), rel=1e-4)
    (slope,) = torch.autograd.grad(find("non_saturating").generator(None, fake), fake)
    assert slope.item() == pytest.approx(-1, rel=1e-6)
    assert slopes[1] == -1


def test_at_the_optimum_the_discriminator_is_p_over_p_plus_q():
    """Goodfellow et al. 2014, Prop. 1, on a line of five places with known frequencies."""
    p, q = torch.tensor([8, 4, 2, 1, 1]), torch.tensor([1, 3, 2, 6, 4])
    real, fake = (torch.arange(5).repeat_interleave(n) for n in (p, q))
    table = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([table], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-16)

    def closure():
        optimizer.zero_grad()
        loss = adversarial.cross_entropy(table[real], table[fake])
        loss.backward()
        return loss

    optimizer.step(closure)
    p, q = p / 16, q / 16
    torch.testing.assert_close(table.detach().sigmoid(), (p / (p + q)).double(), rtol=1e-6, atol=0.0)
    middle = (p + q) / 2
    jensen_shannon = (F.kl_div(middle.log(), p, reduction="sum") + F.kl_div(middle.log(), q, reduction="sum")) / 2
    value = -adversarial.cross_entropy(table[real], table[fake]).item()
    assert value == pytest.approx(-math.log(4) + 2 * jensen_shannon.item(), rel=1e-6)  # Eq. 5


def test_the_game_on_a_line_ends_where_it_should():
    """The generator, a table of logits, reaches q = p in the minimax game; there D = 1/2 and V = -log 4 (Theorem 1).

    Expectations are exact: every place counts with its probability.
    """
    p = torch.tensor([0.5, 0.3, 0.15, 0.05]).double()
    discriminator, generator = (torch.zeros(4, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def value():
        """V by the losses themselves, one place at a time."""
        q = generator.softmax(0)
        real = sum(p[i] * (adversarial.cross_entropy(d, d) + adversarial.saturating(None, d)) for i, d in each())
        fake = sum(q[i] * adversarial.saturating(None, d) for i, d in each())
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


def test_the_gradient_penalty_of_a_known_function():
    """logit(x) = sum of x^3 has the gradient 3 x^2; its penalty sum 9 x^4 the gradient 36 x^3, by double backward."""
    x = torch.randn(4, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    penalty = adversarial.gradient_penalty((x**3).sum((1, 2, 3)), x)
    expected = 9 * (x.detach().float() ** 4).sum((1, 2, 3)).mean()
    torch.testing.assert_close(penalty, expected, rtol=1e-5, atol=0.0)
    (gradient,) = torch.autograd.grad(penalty, x)
    torch.testing.assert_close(gradient, 36 * x.detach() ** 3 / 4, rtol=1e-5, atol=1e-7)


def test_an_objective_of_ones_own():
    assert find(f"{__name__}.my_own") is my_own
    for name in ("wasserstein", "hinge_generator", "no.such.place", f"{__name__}.TEXTBOOK", "."):
        with pytest.raises(ValueError, match="use one of minimax, non_saturating, hinge, relativistic, or the dotted"):
            find(name)
