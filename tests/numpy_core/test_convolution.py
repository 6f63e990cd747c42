import numpy as np
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from numpy_core import Conv2d, convolution
from tests.numpy_core.against_torch import arrays, close, compare, many, seeds


def pairs(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def options(draw):
    """A convolution's arguments and the shape of an input that it takes: even a kernel that sees mostly border."""
    kernel, stride, padding, dilation = draw(pairs(1, 4)), draw(pairs(1, 5)), draw(pairs(0, 4)), draw(pairs(1, 3))
    groups = draw(st.integers(1, 3))
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 3))
    least = [max(1, d * (k - 1) + 1 - 2 * p) for k, p, d in zip(kernel, padding, dilation, strict=True)]
    shape = (draw(st.integers(1, 4)), inputs, *(low + draw(st.integers(0, 5)) for low in least))
    return {
        "inputs": inputs,
        "outputs": outputs,
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
    }, shape


@many
@given(options(), st.sampled_from([1, 2000, 2**23]), seeds)
def test_like_torch(options, cache_bytes, rng):
    """With all images' columns at once, a few at a time, and one at a time."""
    options, shape = options
    rest = (options["stride"], options["padding"], options["dilation"], options["groups"])
    usual, convolution.CACHE_BYTES = convolution.CACHE_BYTES, cache_bytes
    try:
        compare(
            Conv2d(**options, rng=rng, dtype=np.float64),
            lambda x, p: F.conv2d(x, p["weight"], p.get("bias"), *rest),
            arrays(shape, rng),
            rng,
        )
    finally:
        convolution.CACHE_BYTES = usual


def test_one_number_stands_for_both_axes():
    x = arrays((2, 3, 7, 8), np.random.default_rng(1))
    one, two = (
        Conv2d(3, 2, kernel, np.random.default_rng(0), stride, padding, dilation, dtype=np.float64)
        for kernel, stride, padding, dilation in [(3, 2, 1, 2), ((3, 3), (2, 2), (1, 1), (2, 2))]
    )
    close(one(x), two(x))


def test_an_input_that_is_not_contiguous():
    rng = np.random.default_rng(0)
    x = arrays((2, 6, 7, 3), rng).transpose(0, 3, 1, 2)[:, :, ::2]  # (N, C, H, W) out of channels last
    compare(Conv2d(3, 4, 3, rng, dtype=np.float64), lambda x, p: F.conv2d(x, p["weight"], p["bias"]), x, rng)
