import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from numpy_core import SGD, Adam, AdamW, Parameter, clip_gradients
from tests.numpy_core.against_torch import seeds, some

PAIRS = {
    "SGD": (lambda p: SGD(p, 0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "SGD with L2": (lambda p: SGD(p, 0.1, weight_decay=0.05), lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.05)),
    "SGD with momentum": (lambda p: SGD(p, 0.1, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    "SGD with momentum and L2": (
        lambda p: SGD(p, 0.1, momentum=0.8, weight_decay=0.05),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.8, weight_decay=0.05),
    ),
    "SGD with Nesterov and L2": (
        lambda p: SGD(p, 0.1, momentum=0.9, weight_decay=0.05, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.05, nesterov=True),
    ),
    "Adam": (lambda p: Adam(p), lambda p: torch.optim.Adam(p)),
    "Adam with L2 and other options": (
        lambda p: Adam(p, 0.03, betas=(0.8, 0.95), epsilon=1e-3, weight_decay=0.05),
        lambda p: torch.optim.Adam(p, 0.03, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.05),
    ),
    "AdamW": (lambda p: AdamW(p), lambda p: torch.optim.AdamW(p)),
    "AdamW with other options": (
        lambda p: AdamW(p, 0.03, weight_decay=0.2, betas=(0.8, 0.95), epsilon=1e-3),
        lambda p: torch.optim.AdamW(p, 0.03, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
    ),
}
SHAPES = [(3, 4), (5,), (2, 3, 1, 2)]


def gradient(value: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Depends on where one is, so that a wrong step leads to other gradients."""
    return np.sin(3 * value) + noise


@pytest.mark.parametrize("name", PAIRS)
def test_a_hundred_steps_like_torch(name):
    rng = np.random.default_rng(0)
    ours = [Parameter(rng.standard_normal(shape)) for shape in SHAPES]
    theirs = [torch.nn.Parameter(torch.tensor(p.value)) for p in ours]
    start = [p.value.copy() for p in ours]
    optimizer, reference = PAIRS[name][0](ours), PAIRS[name][1](theirs)
    for _ in range(100):
        optimizer.zero_grad()
        for parameter, tensor in zip(ours, theirs, strict=True):
            noise = rng.standard_normal(parameter.value.shape)
            parameter.accumulate(gradient(parameter.value, noise))
            tensor.grad = torch.tensor(gradient(tensor.detach().numpy(), noise))
        optimizer.step()
        reference.step()
    for parameter, tensor, before in zip(ours, theirs, start, strict=True):
        assert np.abs(parameter.value - before).min() > 1e-4, "every number has moved"
        np.testing.assert_allclose(parameter.value, tensor.detach().numpy(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", PAIRS)
def test_the_gradient_is_left_as_it_was(name):
    parameter = Parameter(np.ones(3))
    optimizer = PAIRS[name][0]([parameter])
    parameter.accumulate(np.array([1.0, -2.0, 3.0]))
    optimizer.step()
    np.testing.assert_array_equal(parameter.grad, [1.0, -2.0, 3.0])


@pytest.mark.parametrize("name", PAIRS)
def test_without_a_gradient_a_parameter_stays(name):
    with_gradient, without = Parameter(np.ones(3)), Parameter(np.ones(3))
    optimizer = PAIRS[name][0]([with_gradient, without])
    with_gradient.accumulate(np.ones(3))
    optimizer.step()
    assert (with_gradient.value < 1).all()
    np.testing.assert_array_equal(without.value, np.ones(3))


@pytest.mark.parametrize("name", PAIRS)
def test_goes_on_exactly_from_a_state(name):
    def steps(parameter, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            parameter.accumulate(np.sin(3 * parameter.value))
            optimizer.step()

    whole, first = Parameter(np.arange(1.0, 4.0)), Parameter(np.arange(1.0, 4.0))
    steps(whole, PAIRS[name][0]([whole]), 10)
    before = PAIRS[name][0]([first])
    steps(first, before, 4)
    before.lr *= 1
    second = Parameter(first.value.copy())
    after = PAIRS[name][0]([second])
    after.load_state(before.state())
    steps(first, before, 1)  # the state was a copy
    steps(second, after, 6)
    np.testing.assert_array_equal(second.value, whole.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clipping_what_is_not_finite_like_torch(bad):
    """A NaN spoils every gradient at once, where all can see it."""
    grads = [np.array([1.0, bad]), np.array([2.0])]
    ours, theirs = [Parameter(np.zeros_like(g)) for g in grads], [torch.nn.Parameter(torch.tensor(g)) for g in grads]
    for parameter, tensor, grad in zip(ours, theirs, grads, strict=True):
        parameter.accumulate(grad.copy())
        tensor.grad = torch.tensor(grad)
    with np.errstate(invalid="ignore"):
        clip_gradients(ours, 1.0)
    torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    for parameter, tensor in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(parameter.grad, tensor.grad.numpy())


@pytest.mark.parametrize("name", PAIRS)
def test_late_and_missing_gradients_like_torch(name):
    """Ten steps without a gradient, ten with, ten without, ten with: beside a parameter that has one at every step."""
    rng = np.random.default_rng(0)
    ours = [Parameter(rng.standard_normal((2, 3))) for _ in range(2)]
    theirs = [torch.nn.Parameter(torch.tensor(p.value)) for p in ours]
    optimizer, reference = PAIRS[name][0](ours), PAIRS[name][1](theirs)
    for step in range(40):
        optimizer.zero_grad()
        reference.zero_grad()
        for parameter, tensor in list(zip(ours, theirs, strict=True))[: 1 + step // 10 % 2]:
            grad = gradient(parameter.value, rng.standard_normal((2, 3)))
            parameter.accumulate(grad)
            tensor.grad = torch.tensor(grad)
        before = ours[1].value.copy()
        optimizer.step()
        reference.step()
        assert (ours[1].value != before).all() == (step // 10 % 2)
        for parameter, tensor in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(parameter.value, tensor.detach().numpy(), rtol=0, atol=1e-10)


def test_the_first_step_of_adam_is_as_long_as_the_rate_however_late():
    early, late = Parameter(np.zeros(1)), Parameter(np.zeros(1))
    optimizer = Adam([early, late], lr=0.1)
    for _ in range(10):
        early.grad = np.ones(1)
        optimizer.step()
    late.grad = np.ones(1)
    optimizer.step()
    assert late.value == pytest.approx(-0.1)


@some
@given(
    st.sampled_from([0.0, 1e-9, 1e-6]) | st.floats(1e-3, 1e3),
    st.sampled_from([0.0, 1e-7]) | st.floats(1e-3, 1e3),
    seeds,
)
def test_clipping_like_torch(max_norm, scale, rng):
    ours = [Parameter(np.zeros(shape)) for shape in [*SHAPES, (2,)]]
    theirs = [torch.nn.Parameter(torch.tensor(p.value)) for p in ours]
    for parameter, tensor in list(zip(ours, theirs, strict=True))[:-1]:  # the last has no gradient
        parameter.accumulate(scale * rng.standard_normal(parameter.value.shape))
        tensor.grad = torch.tensor(parameter.grad)
    norm = clip_gradients(ours, max_norm)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    assert norm == pytest.approx(float(expected), rel=1e-12)
    for parameter, tensor in list(zip(ours, theirs, strict=True))[:-1]:
        np.testing.assert_allclose(parameter.grad, tensor.grad.numpy(), rtol=1e-9)
    assert ours[-1].grad is None


def test_a_short_gradient_is_not_touched():
    parameter = Parameter(np.zeros(2))
    parameter.accumulate(np.array([3.0, 4.0]))
    assert clip_gradients([parameter], 5.1) == 5.0
    np.testing.assert_array_equal(parameter.grad, [3.0, 4.0])
