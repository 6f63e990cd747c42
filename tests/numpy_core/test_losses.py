import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from numpy_core import binary_cross_entropy, mean_squared_error, softmax_cross_entropy
from tests.numpy_core.against_torch import arrays, compare_loss, many, seeds, sizes

shapes = st.lists(sizes, min_size=1, max_size=4).map(tuple)
scales = st.sampled_from([1.0, 30.0, 1e4])
smoothings = st.sampled_from([0.0, 0.1, 0.9])


def classes_second(array: torch.Tensor) -> torch.Tensor:
    """(..., C) -> (N, C), as torch takes it."""
    return array.reshape(-1, array.shape[-1])


@many
@given(shapes, scales, smoothings, st.sampled_from([np.int64, np.uint8]), seeds)
def test_cross_entropy_of_classes_like_torch(shape, scale, smoothing, dtype, rng):
    logits = scale * arrays(shape, rng)
    labels = np.asarray(rng.integers(0, shape[-1], shape[:-1])).astype(dtype)
    target = torch.tensor(labels.astype(np.int64)).reshape(-1)
    compare_loss(
        softmax_cross_entropy(logits, labels, smoothing),
        lambda x: F.cross_entropy(classes_second(x), target, label_smoothing=smoothing),
        logits,
    )


@many
@given(shapes, scales, smoothings, st.booleans(), seeds)
def test_cross_entropy_of_soft_targets_like_torch(shape, scale, smoothing, normalized, rng):
    """Targets that sum to something other than 1 as well."""
    logits, targets = scale * arrays(shape, rng), rng.uniform(0, 1, shape)
    targets = targets / targets.sum(-1, keepdims=True) if normalized else targets
    compare_loss(
        softmax_cross_entropy(logits, targets, smoothing),
        lambda x: F.cross_entropy(classes_second(x), classes_second(torch.tensor(targets)), label_smoothing=smoothing),
        logits,
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_of_extreme_logits(dtype):
    logits = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0]], dtype)
    loss, grad = softmax_cross_entropy(logits, np.array([0, 1]))
    assert loss == 1e4  # (0 + 2e4) / 2
    np.testing.assert_array_equal(grad, np.array([[0, 0, 0], [0.5, -0.5, 0]], dtype))


def test_a_class_ruled_out_by_a_logit_of_minus_infinity():
    logits = np.array([[1.0, -np.inf, 2.0]])
    label = np.array([0])
    compare_loss(softmax_cross_entropy(logits, label), lambda x: F.cross_entropy(x, torch.tensor(label)), logits)


@many
@given(shapes, scales, st.booleans(), seeds)
def test_binary_cross_entropy_like_torch(shape, scale, soft, rng):
    logits = scale * arrays(shape, rng)
    targets = rng.uniform(0, 1, shape) if soft else rng.integers(0, 2, shape).astype(float)
    compare_loss(
        binary_cross_entropy(logits, targets),
        lambda x: F.binary_cross_entropy_with_logits(x, torch.tensor(targets)),
        logits,
    )


@pytest.mark.filterwarnings("error")
def test_binary_cross_entropy_of_extreme_logits():
    logits, targets = np.array([1e4, -1e4, 1e4, 0.0], np.float32), np.array([1, 0, 0, 1], np.float32)
    loss, grad = binary_cross_entropy(logits, targets)
    assert loss == pytest.approx((1e4 + np.log(2)) / 4, rel=1e-6)
    np.testing.assert_array_equal(grad, np.array([0, 0, 0.25, -0.125], np.float32))


@many
@given(shapes, scales, seeds)
def test_mean_squared_error_like_torch(shape, scale, rng):
    predictions, targets = scale * arrays(shape, rng), arrays(shape, rng)
    compare_loss(mean_squared_error(predictions, targets), lambda x: F.mse_loss(x, torch.tensor(targets)), predictions)
