"""float32 stays float32, and float64 float64: nothing is converted on the way."""

import numpy as np
import pytest

from numpy_core import (
    SGD,
    Adam,
    AdamW,
    Trainer,
    binary_cross_entropy,
    clip_gradients,
    constant,
    cosine,
    mean_squared_error,
    small_cnn,
    softmax_cross_entropy,
    step_decay,
)
from tests.numpy_core.layers import LAYERS, build

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, dtype, training):
    layer, x = build(name, dtype)
    layer.train(training)
    y = layer(x)
    dx = layer.backward(np.ones_like(y))
    assert y.dtype == dtype
    assert dx is None or dx.dtype == dtype
    for parameter in layer.parameters().values():
        assert parameter.value.dtype == parameter.grad.dtype == dtype
    assert {array.dtype for array in layer.state().values()} <= {np.dtype(dtype)}


@pytest.mark.parametrize("name", LAYERS)
def test_both_give_the_same(name):
    """float32 rounds, and does nothing else that is different."""
    results = []
    for dtype in DTYPES:
        layer, x = build(name, np.float64)
        if name.startswith(("Dropout", "two_layer", "small_cnn")):
            layer.eval()  # their masks are other draws in float32
        state = {key: array.astype(dtype) for key, array in layer.state().items()}
        layer = build(name, dtype)[0].train(layer.training)
        layer.load_state(state)
        y = layer(x if name == "Embedding" else x.astype(dtype))
        layer.backward(np.ones_like(y))
        results.append([y, *(parameter.grad for parameter in layer.parameters().values())])
    for single, double in zip(*results, strict=True):
        np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, np.float64(0.1)])
def test_losses(dtype, smoothing):
    rng = np.random.default_rng(0)
    first, soft = rng.standard_normal((3, 4)).astype(dtype), rng.dirichlet(np.ones(4), 3).astype(dtype)
    for loss, grad in [
        softmax_cross_entropy(first, np.array([0, 3, 1]), smoothing),
        softmax_cross_entropy(first, soft, smoothing),
        binary_cross_entropy(first, soft),
        mean_squared_error(first, soft),
    ]:
        assert type(loss) is float
        assert grad.dtype == dtype


OPTIMIZERS = {
    "SGD": lambda p: SGD(p, 0.1),
    "SGD with all options": lambda p: SGD(p, 0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "Adam": lambda p: Adam(p),
    "Adam with L2": lambda p: Adam(p, weight_decay=0.01),
    "AdamW": lambda p: AdamW(p),
}
SCHEDULES = {
    "constant": constant(0.01),
    "step_decay": step_decay(0.01, 2),
    "cosine": cosine(0.01, 10, warmup=2),
    "one that gives NumPy's float64": lambda step: np.float64(0.01) / np.sqrt(step + 1),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training(optimizer, schedule, dtype):
    rng = np.random.default_rng(0)
    model = small_cnn((1, 4, 4), 3, rng, (2, 3), dropout=0.2, dtype=dtype)
    optimizer = OPTIMIZERS[optimizer](model.parameters().values())
    trainer = Trainer(model, optimizer, SCHEDULES[schedule], rng, max_norm=np.float64(0.5))
    for _ in range(3):
        trainer.step(rng.standard_normal((5, 1, 4, 4)).astype(dtype), rng.integers(0, 3, 5))
    for parameter in model.parameters().values():
        assert parameter.value.dtype == parameter.grad.dtype == dtype
    assert {array.dtype for array in model.state().values()} == {np.dtype(dtype)}
    assert {array.dtype for kept in optimizer.kept.values() for array in kept} <= {np.dtype(dtype)}
    assert type(optimizer.lr) is float
    clip_gradients(model.parameters().values(), 1e-3)
    assert {parameter.grad.dtype for parameter in model.parameters().values()} == {np.dtype(dtype)}
