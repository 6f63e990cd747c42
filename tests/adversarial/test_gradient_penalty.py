import torch

from adversarial.gradient_penalty import gradient_penalty


def test_the_gradient_penalty_of_a_known_function():
    """logit(x) = sum of x^3 has the gradient 3 x^2; its penalty sum 9 x^4 the gradient 36 x^3, by double backward."""
    x = torch.randn(4, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    penalty = gradient_penalty((x**3).sum((1, 2, 3)), x)
    expected = 9 * (x.detach().float() ** 4).sum((1, 2, 3)).mean()
    torch.testing.assert_close(penalty, expected, rtol=1e-5, atol=0.0)
    (gradient,) = torch.autograd.grad(penalty, x)
    torch.testing.assert_close(gradient, 36 * x.detach() ** 3 / 4, rtol=1e-5, atol=1e-7)
