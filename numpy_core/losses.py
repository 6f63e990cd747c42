"""Losses: the mean over the batch as a float, and its gradient with respect to the first argument.

N examples (any leading axes), C classes.
"""

import numpy as np

from numpy_core import checks
from numpy_core.activations import sigmoid, softmax


def softmax_cross_entropy(
    logits: np.ndarray, targets: np.ndarray, label_smoothing: float = 0.0
) -> tuple[float, np.ndarray]:
    """- sum_c q_c log softmax(logits)_c, averaged over N.

    Args:
        logits: (..., C).
        targets: classes as integers (...), or probabilities q (..., C) of the logits' dtype.
        label_smoothing: e; q becomes (1 - e) q + e / C (Szegedy et al. 2016, Sec. 7).
    """
    checks.float_array("logits", logits)
    if logits.ndim < 1 or not logits.size:
        raise ValueError(f"logits need classes along their last axis and at least one example; got {logits.shape}")
    checks.between(0, 1, label_smoothing=label_smoothing)
    label_smoothing = float(label_smoothing)  # NumPy's float64 would turn float32 targets into float64
    classes = logits.shape[-1]
    if isinstance(targets, np.ndarray) and targets.dtype.kind == "f":
        checks.float_array("targets", targets, logits.dtype)
        if targets.shape != logits.shape:
            raise ValueError(f"soft targets have shape {targets.shape}; expected the logits' {logits.shape}")
        q = targets * (1 - label_smoothing) + label_smoothing / classes
    else:
        checks.indices("targets", targets, logits.shape[:-1], classes)
        q = np.full(logits.shape, label_smoothing / classes, logits.dtype)
        np.put_along_axis(q, targets[..., None], 1 - label_smoothing + label_smoothing / classes, -1)
    # log softmax = x - max - log sum exp(x - max): no exponential can overflow, no logarithm meets zero
    shifted = logits - logits.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    examples = logits.size // classes
    # dL/dx_j = sum_c q_c (p_j - [c = j]) / N = (p_j sum_c q_c - q_j) / N
    grad = (softmax(shifted) * q.sum(-1, keepdims=True) - q) / examples
    # a class with q = 0 adds nothing, even where its log p is -inf
    loss = np.multiply(q, log_p, out=np.zeros_like(q), where=q != 0)
    return float(-loss.sum() / examples), grad


def binary_cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """- q log s - (1 - q) log(1 - s), s = sigmoid(logits), averaged over all numbers; targets q in [0, 1]."""
    _same("targets", targets, logits)
    if not (targets.min() >= 0 and targets.max() <= 1):
        raise ValueError(f"targets lie between {targets.min()} and {targets.max()}; allowed are 0 to 1")
    # -log s(x) = log(1 + exp(-x)), so L = max(x, 0) - x q + log(1 + exp(-|x|)), which cannot overflow
    loss = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
    # dL/dx = s(x) - q
    return float(loss.mean()), (sigmoid(logits) - targets) / logits.size


def mean_squared_error(predictions: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """(y - t)^2, averaged over all numbers."""
    _same("targets", targets, predictions)
    difference = predictions - targets
    # dL/dy = 2 (y - t) / number of values
    return float(np.square(difference).mean()), difference * (2 / difference.size)


def _same(name: str, given: np.ndarray, like: np.ndarray) -> None:
    checks.float_array("the first argument", like)
    checks.float_array(name, given, like.dtype)
    if given.shape != like.shape or not given.size:
        raise ValueError(f"{name} have shape {given.shape}; expected {like.shape}, not empty")
