"""Weights to start from: variances that keep signals and gradients of one size through the layers.

`shape` is (outputs, inputs, *kernel); fan_in = inputs * kernel size, fan_out = outputs * kernel size.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from numpy_core.checks import LARGEST, FloatDType, float_dtype, whole

Initializer: TypeAlias = Callable[[tuple[int, ...], np.random.Generator, FloatDType], np.ndarray]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many values flow into one output, and from one input into how many outputs."""
    _check(shape)
    if len(shape) < 2:
        raise ValueError(f"a weight of shape {shape} has no fan-in; initialisers need (outputs, inputs, *kernel)")
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def zeros(shape: tuple[int, ...], rng: np.random.Generator, dtype: FloatDType = np.float32) -> np.ndarray:
    """All zero: for a single layer, whose loss is convex, a start that favours no class."""
    _check(shape)
    return np.zeros(shape, float_dtype(dtype))


def xavier_uniform(shape: tuple[int, ...], rng: np.random.Generator, dtype: FloatDType = np.float32) -> np.ndarray:
    """U(-a, a), a = sqrt(6 / (fan_in + fan_out)): Glorot and Bengio 2010, Eq. 16. For tanh, sigmoid, softmax."""
    return _uniform(math.sqrt(6 / sum(fans(shape))), shape, rng, dtype)


def xavier_normal(shape: tuple[int, ...], rng: np.random.Generator, dtype: FloatDType = np.float32) -> np.ndarray:
    """N(0, 2 / (fan_in + fan_out)): Glorot and Bengio 2010, Eq. 12."""
    return _normal(math.sqrt(2 / sum(fans(shape))), shape, rng, dtype)


def kaiming_uniform(shape: tuple[int, ...], rng: np.random.Generator, dtype: FloatDType = np.float32) -> np.ndarray:
    """U(-a, a) with the variance of `kaiming_normal`."""
    return _uniform(math.sqrt(6 / fans(shape)[0]), shape, rng, dtype)


def kaiming_normal(shape: tuple[int, ...], rng: np.random.Generator, dtype: FloatDType = np.float32) -> np.ndarray:
    """N(0, 2 / fan_in): He et al. 2015, Eq. 10. For ReLU, which drops half of the variance."""
    return _normal(math.sqrt(2 / fans(shape)[0]), shape, rng, dtype)


def _check(shape: tuple[int, ...]) -> None:
    if not all(whole(size) and 1 <= size <= LARGEST for size in shape):
        raise ValueError(f"shape={shape} must hold whole numbers of at least 1 and at most {LARGEST}")


def _uniform(bound: float, shape: tuple[int, ...], rng: np.random.Generator, dtype: FloatDType) -> np.ndarray:
    return rng.uniform(-bound, bound, shape).astype(float_dtype(dtype))


def _normal(std: float, shape: tuple[int, ...], rng: np.random.Generator, dtype: FloatDType) -> np.ndarray:
    return (std * rng.standard_normal(shape)).astype(float_dtype(dtype))
