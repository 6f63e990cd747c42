from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from numpy_core import SGD, Parameter, Tensor, softmax_cross_entropy, two_layer_mlp
from numpy_core.autograd import cross_entropy
from tests.numpy_core.against_torch import arrays, close, seeds, sizes, some

few = settings(some, max_examples=12)
# Both kinds of tensors take these; x and y broadcast against each other, and x is used more than once.
EXPRESSIONS: dict[str, Callable] = {
    "+": lambda x, y: x + y + x,
    "-": lambda x, y: x - y - x * 2,
    "*": lambda x, y: x * y * x,
    "/": lambda x, y: x / (y * y + 1),
    "^": lambda x, y: (x * x + 1) ** 1.5 * y**3,
    "unary -": lambda x, y: -(x * -y),
    "numbers on the left": lambda x, y: 2 + 3 * x - 1 / (x * x + 2) + (1 - y),
    "exp and log": lambda x, y: (x.exp() + y.exp()).log(),
    "tanh": lambda x, y: (x * y).tanh(),
    "relu": lambda x, y: (x - y).relu() * x,
    "used in many places": lambda x, y: (x + y) * (x + y).tanh() + x.exp() * x,
}


def gradients(expression: Callable, *values: np.ndarray) -> None:
    """Value and gradients of the sum, weighted by a fixed pattern, of an expression of both kinds of tensors."""
    ours, theirs = [Tensor(v.copy()) for v in values], [torch.tensor(v, requires_grad=True) for v in values]
    y, expected = expression(*ours), expression(*theirs)
    close(y.value, expected.detach().numpy(), "value")
    pattern = np.cos(np.arange(y.value.size)).reshape(y.value.shape)
    (y * pattern).sum().backward()
    (expected * torch.from_numpy(pattern)).sum().backward()
    for tensor, reference in zip(ours, theirs, strict=True):
        close(tensor.grad, reference.grad.numpy(), "gradient")


@few
@given(shape=st.lists(sizes, max_size=3), ones=st.integers(0, 7), missing=st.integers(0, 3), rng=seeds)
def test_like_torch(shape, ones, missing, rng):
    """Also where y is broadcast: some of its axes have size 1, and its first ones may be missing."""
    smaller = [1 if ones >> axis & 1 else size for axis, size in enumerate(shape)][missing:]
    for expression in EXPRESSIONS.values():
        gradients(expression, arrays(tuple(shape), rng), arrays(tuple(smaller), rng))
        gradients(expression, arrays(tuple(smaller), rng), arrays(tuple(shape), rng))


@few
@given(leading=st.lists(sizes, max_size=2), rows=sizes, inner=sizes, columns=sizes, rng=seeds)
def test_matrix_products(leading, rows, inner, columns, rng):
    x, y = arrays((*leading, rows, inner), rng), arrays((inner, columns), rng)
    gradients(lambda x, y: x @ y, x, y)
    gradients(lambda x, y: x @ y, arrays((rows, inner), rng), arrays((*leading, inner, columns), rng))


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_sums(axis):
    def summed(x):
        if isinstance(x, Tensor):
            return x.sum(axis) * x
        return (x.sum() if axis is None else x.sum(axis, keepdim=True)) * x

    gradients(summed, arrays((3, 4), np.random.default_rng(0)))
    gradients(lambda x: x.mean() * x, arrays((3, 4), np.random.default_rng(0)))


def test_shapes_and_places():
    x = arrays((3, 4), np.random.default_rng(0))
    gradients(lambda x: x.reshape(2, 6) * 2, x)
    gradients(lambda x: x[1:, ::2] * 2, x)
    gradients(lambda x: x[[0, 0, 2], [1, 1, 3]] * 2, x)  # one place is taken twice


@few
@given(size=sizes, classes=sizes, rng=seeds)
def test_cross_entropy(size, classes, rng):
    logits, targets = Tensor(arrays((size, classes), rng)), rng.integers(classes, size=size)
    reference = torch.tensor(logits.value, requires_grad=True)
    loss, expected = cross_entropy(logits, targets), F.cross_entropy(reference, torch.tensor(targets))
    close(loss.value, expected.detach().numpy())
    loss.backward()
    expected.backward()
    close(logits.grad, reference.grad.numpy())


def test_logits_of_any_size():
    logits = Tensor(np.array([[1e4, -1e4], [-1e4, 1e4]]))
    loss = cross_entropy(logits, np.array([0, 0]))
    loss.backward()
    assert float(loss.value) == 1e4
    assert_array_equal(logits.grad, [[0, 0], [-0.5, 0.5]])


def test_a_graph_deeper_than_the_stack_of_python():
    x = Tensor(1.0)
    y = x
    for _ in range(5_000):
        y = y + x
    y.backward()
    assert float(x.grad) == 5_001


def test_a_graph_with_more_paths_than_could_be_walked():
    """Each tensor is visited once: 2^200 paths lead from y to x."""
    x = Tensor(1.0)
    y = x
    for _ in range(200):
        y = y + y
    y.backward()
    assert float(x.grad) == 2.0**200
    assert len(y.graph()) == 201


def test_sources_stand_before_what_was_made_from_them():
    x = Tensor(1.0)
    y = x * x
    z = y + x + y.exp()
    place = {tensor: i for i, tensor in enumerate(z.graph())}
    assert all(place[source] < place[tensor] for tensor in place for source, _ in tensor.sources)


def test_gradients_add_up_until_they_are_forgotten():
    x = Tensor(2.0)
    for times in (1, 2, 3):
        (x * x).backward()
        assert float(x.grad) == 4.0 * times
    SGD([x], 0.1).zero_grad()
    assert x.grad is None


def test_float32_stays_float32():
    x = Tensor(np.ones((2, 3), np.float32))
    y = ((2 * x + np.ones(3)) / 7 - 1) ** 2 @ np.ones((3, 1))
    y = y.exp().log().tanh().relu().mean()
    y.backward()
    assert y.value.dtype == x.grad.dtype == np.float32


def test_gradients_of_two_tensors_are_two_arrays():
    """Or an optimizer that changes one in place would change the other."""
    x, y = Tensor(np.ones(3)), Tensor(np.ones(3))
    (x + y).sum().backward()
    assert not np.shares_memory(x.grad, y.grad)


def test_trains_as_the_layers_by_hand_do():
    """The same two-layer MLP from the same weights: after ten steps both have the same ones."""
    rng = np.random.default_rng(0)
    by_hand = two_layer_mlp(5, 7, 3, rng, dtype="float64")
    w1, b1, w2, b2 = weights = [Tensor(p.value.copy()) for p in by_hand.parameters().values()]
    optimizers = [SGD(parameters, 0.1, momentum=0.9) for parameters in (by_hand.parameters().values(), weights)]
    for _ in range(10):
        x, y = rng.standard_normal((8, 5)), rng.integers(3, size=8)
        for optimizer in optimizers:
            optimizer.zero_grad()
        expected, dlogits = softmax_cross_entropy(by_hand(x), y)
        by_hand.backward(dlogits)
        hidden = (x @ w1.transposed() + b1).relu()
        loss = cross_entropy(hidden @ w2.transposed() + b2, y)
        loss.backward()
        close(loss.value, np.array(expected))
        for optimizer in optimizers:
            optimizer.step()
    for tensor, parameter in zip(weights, by_hand.parameters().values(), strict=True):
        close(tensor.value, parameter.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Tensor(3), "a tensor has dtype int64; it must be float32 or float64"),
        (lambda: Tensor(np.ones(2)).backward(), r"backward starts from one number.*shape \(2,\)"),
        (lambda: Tensor(np.ones(2)) @ np.ones(2), r"@ takes two matrices; got shapes \(2,\) and \(2,\)"),
        (lambda: Tensor(np.ones(2)) + Tensor(np.ones(2, np.float32)), "the other tensor has dtype float32"),
        (lambda: cross_entropy(Tensor(np.ones((2, 3))), np.array([0, 3])), "targets lie between 0 and 3"),
    ],
)
def test_one_line_says_what_is_wrong(wrong, message):
    with pytest.raises(ValueError, match=message) as error:
        wrong()
    assert "\n" not in str(error.value)


def test_a_tensor_is_a_parameter():
    assert isinstance(Tensor(1.0), Parameter)
