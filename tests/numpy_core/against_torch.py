"""Whether a layer or a loss computes what torch and its autograd compute, in float64."""

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from numpy_core import Module

# The same examples in every run; no deadline, as the first call of a torch function can be slow.
many = settings(deadline=None, max_examples=200, derandomize=True)
some = settings(many, max_examples=50)

sizes = st.integers(1, 5)
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def arrays(shape: tuple[int, ...], rng: np.random.Generator, ties: bool = False) -> np.ndarray:
    """Normal numbers, or with `ties` small whole ones, of which many are equal and many zero."""
    return rng.integers(-2, 3, shape).astype(float) if ties else rng.standard_normal(shape)


def close(actual: np.ndarray, expected: np.ndarray, name: str = "") -> None:
    """Equal within 1e-9 of each number.

    A sum of terms of size s that nearly cancel has the rounding error of its terms, some hundred times 2e-16 s, however
    small it is itself; hence 1e-12 of the array's largest number besides.
    """
    largest = np.abs(expected).max(initial=1.0)
    assert actual.dtype == expected.dtype, f"{name} is {actual.dtype}, not {expected.dtype}"
    assert_allclose(actual, expected, rtol=1e-9, atol=1e-12 * largest, err_msg=name)


def randomize(layer: Module, rng: np.random.Generator) -> Module:
    """Give every parameter normal numbers, so that no bias is zero and no scale is one."""
    for parameter in layer.parameters().values():
        parameter.value[...] = rng.standard_normal(parameter.value.shape)
    return layer


def compare(layer: Module, reference: Callable, x: np.ndarray, rng: np.random.Generator) -> None:
    """Output, gradient of the input, and gradient of every parameter, for a random gradient of the output.

    `reference` takes x and the parameters by name, as tensors.
    """
    randomize(layer, rng)
    tensors = {name: torch.tensor(p.value, requires_grad=True) for name, p in layer.parameters().items()}
    x_tensor = torch.tensor(x, requires_grad=x.dtype.kind == "f")
    expected = reference(x_tensor, tensors)
    x_before = x.copy()
    y = layer(x)
    close(y, expected.detach().numpy(), "output")
    dy = rng.standard_normal(y.shape)
    dy_before = dy.copy()
    dx = layer.backward(dy)
    assert_array_equal(x, x_before, "the layer changed its input")
    assert_array_equal(dy, dy_before, "the layer changed the gradient that it was given")
    expected.backward(torch.tensor(dy))
    if x_tensor.requires_grad:
        close(dx, x_tensor.grad.numpy(), "gradient of the input")
    else:
        assert dx is None, "whole numbers have no gradient"
    for name, parameter in layer.parameters().items():
        close(parameter.grad, tensors[name].grad.numpy(), f"gradient of {name}")


def compare_loss(loss: tuple[float, np.ndarray], reference: Callable, first: np.ndarray) -> None:
    """Value and gradient; `reference` maps the loss's first argument, as a tensor, to a scalar."""
    tensor = torch.tensor(first, requires_grad=True)
    expected = reference(tensor)
    expected.backward()
    value, grad = loss
    assert isinstance(value, float)
    close(np.array(value), expected.detach().numpy(), "loss")
    close(grad, tensor.grad.numpy(), "gradient")
