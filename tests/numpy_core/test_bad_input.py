"""Whatever is wrong, one ValueError says what came and what is allowed."""

import numpy as np
import pytest

from numpy_core import (
    SGD,
    Adam,
    AdamW,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    LearnedPositions,
    Linear,
    MaxPool2d,
    Module,
    Parameter,
    ReLU,
    Residual,
    SelfAttention,
    Sequential,
    Softmax,
    Trainer,
    batches,
    binary_cross_entropy,
    clip_gradients,
    constant,
    cosine,
    initializers,
    mean_squared_error,
    predict,
    small_cnn,
    softmax_cross_entropy,
    step_decay,
    two_layer_mlp,
)
from tests.numpy_core.layers import LAYERS, build

RNG = np.random.default_rng(0)


def zeros(*shape: int, dtype=np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


def trained(x: np.ndarray, y: np.ndarray, val=None, **options):
    model = two_layer_mlp(4, 3, 2, RNG)
    trainer = Trainer(model, SGD(model.parameters().values(), 0.1), constant(0.1), RNG)
    trainer.fit((x, y), val or (x, y), **({"epochs": 1, "batch_size": 2} | options))


def twice_at_two_depths(layer: Module) -> Module:
    return Sequential(Sequential(layer), Residual(Sequential(layer)))


def holding(something) -> Module:
    """A module with one attribute."""
    module = Module()
    module.inside = something
    return module


GOOD = (zeros(4, 4), np.zeros(4, int))

# (the wrong call, words of its message: what came, what is allowed)
WRONG = {
    # dtypes
    "unknown dtype": (lambda: Linear(3, 2, RNG, dtype="float12"), ["'float12'", "float32 or float64"]),
    "integer dtype": (lambda: Conv2d(3, 2, 3, RNG, dtype=np.int64), ["int64", "float32 or float64"]),
    "half dtype": (lambda: BatchNorm1d(3, dtype=np.float16), ["float16", "float32 or float64"]),
    "no dtype": (lambda: LayerNorm(3, dtype=None), ["None", "float32 or float64"]),
    "half initializer": (
        lambda: initializers.xavier_normal((2, 3), RNG, np.float16),
        ["float16", "float32 or float64"],
    ),
    "byte images": (
        lambda: Flatten()(zeros(2, 3, dtype=np.uint8)),
        ["Flatten", "uint8", "float32 or float64", ".astype"],
    ),
    "float64 into float32": (lambda: Linear(3, 2, RNG)(zeros(4, 3, dtype=float)), ["Linear", "float64", "float32"]),
    "float32 into float64": (lambda: LayerNorm(3, dtype=float)(zeros(4, 3)), ["LayerNorm", "float32", "float64"]),
    "float64 into attention": (lambda: SelfAttention(4, 2, RNG)(zeros(1, 2, 4, dtype=float)), ["float64", "float32"]),
    "a list": (lambda: ReLU()([1.0, 2.0]), ["ReLU", "list", "NumPy array"]),
    "a number": (lambda: Linear(1, 2, RNG)(1.0), ["Linear", "float", "NumPy array"]),
    # shapes
    "too many features": (lambda: Linear(3, 2, RNG)(zeros(4, 5)), ["Linear", "(4, 5)", "3"]),
    "no axis": (lambda: Linear(3, 2, RNG)(np.array(1.0, np.float32)), ["Linear", "()", "3"]),
    "images without channels": (lambda: Conv2d(1, 2, 3, RNG)(zeros(4, 8, 8)), ["Conv2d", "(4, 8, 8)", "4 axes"]),
    "channels": (lambda: Conv2d(3, 2, 3, RNG)(zeros(4, 1, 8, 8)), ["Conv2d", "(4, 1, 8, 8)", "3"]),
    "channels last": (lambda: BatchNorm2d(3)(zeros(4, 8, 8, 3)), ["BatchNorm2d", "(4, 8, 8, 3)", "3"]),
    "batch norm of images": (lambda: BatchNorm1d(3)(zeros(4, 3, 8, 8)), ["BatchNorm1d", "2 or 3", "(4, 3, 8, 8)"]),
    "batch norm of one": (lambda: BatchNorm1d(3)(zeros(1, 3)), ["BatchNorm1d", "at least 2", "(1, 3)"]),
    "features of LayerNorm": (lambda: LayerNorm(3)(zeros(4, 2)), ["LayerNorm", "(4, 2)", "3"]),
    "pooling without channels": (lambda: MaxPool2d(2)(zeros(4, 8, 8)), ["MaxPool2d", "(4, 8, 8)", "4 axes"]),
    "average of one image": (lambda: AvgPool2d(2)(zeros(8, 8)), ["AvgPool2d", "(8, 8)", "4 axes"]),
    "kernel larger than image": (lambda: Conv2d(1, 1, 5, RNG)(zeros(1, 1, 4, 8)), ["5 x 5", "4 x 8", "more padding"]),
    "dilated kernel": (lambda: Conv2d(1, 1, 3, RNG, dilation=3)(zeros(1, 1, 6, 8)), ["7 x 7", "6 x 8"]),
    "window larger than image": (lambda: MaxPool2d((2, 3))(zeros(1, 1, 8, 2)), ["2 x 3", "8 x 2", "smaller kernel"]),
    "sequence without batch": (lambda: SelfAttention(4, 2, RNG)(zeros(3, 4)), ["SelfAttention", "(3, 4)", "3 axes"]),
    "sequence too long": (lambda: LearnedPositions(3, 2, RNG)(zeros(1, 4, 2)), ["4", "3 learned positions"]),
    "features of positions": (lambda: LearnedPositions(3, 2, RNG)(zeros(1, 3, 4)), ["(1, 3, 4)", "2"]),
    "axis of Softmax": (lambda: Softmax(2)(zeros(3, 4)), ["axis=2", "2 axes", "(3, 4)"]),
    "residual": (lambda: Residual(Linear(3, 2, RNG))(zeros(4, 3)), ["Residual", "(4, 2)", "(4, 3)"]),
    "initializer of a vector": (lambda: initializers.kaiming_normal((3,), RNG), ["(3,)", "(outputs, inputs, *kernel)"]),
    # constructors
    "no outputs": (lambda: Linear(3, 0, RNG), ["outputs=0", "at least 1"]),
    "half an input": (lambda: Linear(2.5, 3, RNG), ["inputs=2.5", "whole number"]),
    "kernel of zero": (lambda: Conv2d(1, 1, 0, RNG), ["kernel_size=0", "at least 1"]),
    "kernel of three axes": (lambda: MaxPool2d((2, 2, 2)), ["kernel_size=(2, 2, 2)", "pair"]),
    "stride of zero": (lambda: Conv2d(1, 1, 3, RNG, stride=(1, 0)), ["stride=(1, 0)", "at least 1"]),
    "negative padding": (lambda: Conv2d(1, 1, 3, RNG, padding=-1), ["padding=-1", "at least 0"]),
    "padding in words": (lambda: Conv2d(1, 1, 3, RNG, padding="same"), ["padding='same'", "at least 0"]),
    "dilation of zero": (lambda: Conv2d(1, 1, 3, RNG, dilation=0), ["dilation=0", "at least 1"]),
    "groups of inputs": (lambda: Conv2d(3, 4, 3, RNG, groups=2), ["groups=2", "inputs=3", "outputs=4"]),
    "groups of outputs": (lambda: Conv2d(4, 3, 3, RNG, groups=2), ["groups=2", "inputs=4", "outputs=3"]),
    "padding of pooling": (lambda: AvgPool2d(3, padding=2), ["padding=2", "half of kernel_size=3", "less padding"]),
    "heads": (lambda: SelfAttention(6, 4, RNG), ["heads=4", "features=6"]),
    "dropout of one": (lambda: Dropout(1.0, RNG), ["p=1.0", "less than 1"]),
    "negative dropout": (lambda: Dropout(-0.1, RNG), ["p=-0.1", "at least 0"]),
    "a layer twice": (lambda: Sequential(*[ReLU()] * 2), ["ReLU", "twice", "of its own"]),
    "a layer twice at two depths": (lambda: twice_at_two_depths(ReLU()), ["ReLU", "twice", "of its own"]),
    "body and shortcut in one": (lambda: Residual(*[Linear(3, 3, RNG)] * 2), ["Linear", "twice", "of its own"]),
    "a class for a layer": (lambda: Sequential(ReLU), ["layers", "ReLU"]),
    "a set of layers": (lambda: holding({ReLU()}).parameters(), ["inside", "set", "use a list"]),
    "two parameters of one name": (
        lambda: holding({1: Parameter(zeros(1)), "1": Parameter(zeros(1))}).parameters(),
        ["inside.1", "other keys"],
    ),
    "axis of words": (lambda: Softmax("last"), ["axis='last'", "whole number"]),
    "flat numbers": (lambda: Flatten()(zeros()), ["Flatten", "()", "batch axis"]),
    "initializer of nothing": (lambda: initializers.kaiming_normal((3, 0), RNG), ["shape=(3, 0)", "at least 1"]),
    "yes features": (lambda: Linear(True, 2, RNG), ["inputs=True", "whole number"]),
    "a cnn halved too often": (lambda: small_cnn((1, 5, 9), 3, RNG), ["5 x 9", "3 times", "fewer widths"]),
    # indices
    "float indices": (lambda: Embedding(3, 2, RNG)(zeros(4)), ["float32", "integers"]),
    "index out of range": (lambda: Embedding(3, 2, RNG)(np.array([0, 3])), ["0 and 3", "0 to 2"]),
    "negative index": (lambda: Embedding(3, 2, RNG)(np.array([-1, 2])), ["-1 and 2", "0 to 2"]),
    "a list of indices": (lambda: Embedding(3, 2, RNG)([0, 1]), ["list", "array of integers"]),
    # losses
    "label out of range": (lambda: softmax_cross_entropy(zeros(2, 3), np.array([0, 3])), ["0 and 3", "0 to 2"]),
    "negative label": (lambda: softmax_cross_entropy(zeros(2, 3), np.array([-1, 0])), ["-1 and 0", "0 to 2"]),
    "float labels": (lambda: softmax_cross_entropy(zeros(2, 3), zeros(2)), ["(2,)", "(2, 3)"]),
    "float64 targets": (lambda: softmax_cross_entropy(zeros(2, 3), zeros(2, 3, dtype=float)), ["float64", "float32"]),
    "bool labels": (lambda: softmax_cross_entropy(zeros(2, 2), np.array([True, False])), ["bool", "integers"]),
    "a list of labels": (lambda: softmax_cross_entropy(zeros(2, 3), [0, 1]), ["list", "integers"]),
    "too few labels": (lambda: softmax_cross_entropy(zeros(2, 3), np.array([0])), ["(1,)", "(2,)"]),
    "one-hot integers": (lambda: softmax_cross_entropy(zeros(2, 3), np.eye(3, dtype=int)[:2]), ["(2, 3)", "(2,)"]),
    "no examples": (lambda: softmax_cross_entropy(zeros(0, 3), np.zeros(0, int)), ["(0, 3)", "at least one"]),
    "smoothing": (
        lambda: softmax_cross_entropy(zeros(2, 3), np.array([0, 1]), 1.0),
        ["label_smoothing=1.0", "less than 1"],
    ),
    "integer logits": (
        lambda: softmax_cross_entropy(zeros(2, 3, dtype=int), np.array([0, 1])),
        ["int64", "float32 or"],
    ),
    "binary target of 2": (lambda: binary_cross_entropy(zeros(2), zeros(2) + 2), ["2.0", "0 to 1"]),
    "NaN target": (lambda: binary_cross_entropy(zeros(2), zeros(2) * np.nan), ["nan", "0 to 1"]),
    "binary shapes": (lambda: binary_cross_entropy(zeros(2, 1), zeros(2)), ["(2,)", "(2, 1)"]),
    "integer targets": (lambda: binary_cross_entropy(zeros(2), zeros(2, dtype=int)), ["int64", "float32"]),
    "squared shapes": (lambda: mean_squared_error(zeros(2, 1), zeros(2)), ["(2,)", "(2, 1)"]),
    "nothing to square": (lambda: mean_squared_error(zeros(0), zeros(0)), ["(0,)", "not empty"]),
    # optimizers and schedules
    "a parameter twice": (lambda: SGD([Parameter(zeros(1))] * 2, 0.1), ["one parameter twice"]),
    "three betas": (lambda: Adam([Parameter(zeros(1))], betas=(0.9, 0.9, 0.9)), ["(0.9, 0.9, 0.9)", "two numbers"]),
    "no parameters": (lambda: SGD([], 0.1), ["at least one parameter", "none"]),
    "names of parameters": (lambda: Adam(ReLU().parameters() | {"w": Parameter(zeros(1))}), ["str", ".values()"]),
    "negative rate": (lambda: SGD([Parameter(zeros(1))], -0.1), ["lr=-0.1", "at least 0"]),
    "negative momentum": (lambda: SGD([Parameter(zeros(1))], 0.1, momentum=-1), ["momentum=-1", "at least 0"]),
    "negative decay": (lambda: AdamW([Parameter(zeros(1))], weight_decay=-1), ["weight_decay=-1", "at least 0"]),
    "Nesterov alone": (lambda: SGD([Parameter(zeros(1))], 0.1, nesterov=True), ["momentum above 0", "momentum=0.0"]),
    "betas": (lambda: Adam([Parameter(zeros(1))], betas=(0.9, 1.0)), ["(0.9, 1.0)", "1 excluded"]),
    "negative norm": (lambda: clip_gradients([Parameter(zeros(1))], -1), ["max_norm=-1", "at least 0"]),
    "warm-up": (lambda: cosine(0.1, steps=10, warmup=10), ["warmup=10", "9"]),
    "decay at every 0": (lambda: step_decay(0.1, every=0), ["every=0", "at least 1"]),
    # training
    "batch size": (lambda: trained(*GOOD, batch_size=0), ["batch_size=0", "at least 1"]),
    "epochs": (lambda: trained(*GOOD, epochs=2.5), ["epochs=2.5", "whole number"]),
    "lengths": (lambda: trained(zeros(4, 4), np.zeros(3, int)), ["4 examples", "y 3"]),
    "lengths of validation": (lambda: trained(*GOOD, val=(zeros(2, 4), np.zeros(1, int))), ["2 examples", "y 1"]),
    "nothing": (lambda: trained(zeros(0, 4), np.zeros(0, int)), ["0 examples", "at least one"]),
    "pixels as bytes": (lambda: trained(zeros(4, 4, dtype=np.uint8), np.zeros(4, int)), ["uint8", "float32"]),
    "a class too many": (lambda: trained(zeros(4, 4), np.arange(4)), ["0 to 1"]),
    "batches of nothing": (lambda: list(batches(0, 3)), ["count=0", "at least 1"]),
    "predict by zeros": (lambda: predict(Flatten(), zeros(2, 3), batch_size=0), ["batch_size=0", "at least 1"]),
    # states
    "state of another": (lambda: Linear(3, 2, RNG).load_state(LayerNorm(2).state() | {"x": zeros(1)}), ["['x']"]),
    "state of less": (lambda: Linear(3, 2, RNG).load_state({"weight": zeros(2, 3)}), ["lacks ['bias']"]),
    "state of other dtype": (
        lambda: Linear(3, 2, RNG).load_state(Linear(3, 2, RNG, dtype=float).state()),
        ["weight", "float64 of shape (2, 3)", "float32 of shape (2, 3)"],
    ),
    "state of an optimizer": (
        lambda: Adam([Parameter(zeros(2))]).load_state(SGD([Parameter(zeros(2))], 0.1).state()),
        ["Adam over 1 parameters", "velocity.0", "first_moment.0"],
    ),
    "state of other numbers": (
        lambda: Adam([Parameter(zeros(2))]).load_state(Adam([Parameter(zeros(2, dtype=float))]).state()),
        ["Adam over 1 parameters", "dtypes"],
    ),
    "state of other shapes": (
        lambda: Adam([Parameter(zeros(2))]).load_state(Adam([Parameter(zeros(3))]).state()),
        ["Adam over 1 parameters", "shapes"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls(name):
    call, words = WRONG[name]
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        call()
    for word in words:
        assert word in str(caught.value), f"{caught.value} does not say {word}"


@pytest.mark.parametrize("name", LAYERS)
def test_backward_before_forward(name):
    layer, _ = build(name, np.float32)
    with pytest.raises(ValueError, match="backward needs a forward first"):
        layer.backward(zeros(2, 3))


@pytest.mark.parametrize("name", LAYERS)
def test_wrong_gradients(name):
    """A gradient of another shape, another dtype, or no array at all; and the parameters' gradients stay away."""
    layer, x = build(name, np.float32)
    y = layer(x)
    with pytest.raises(ValueError, match=rf"takes a gradient of its output's shape .*; got \({len(y) + 1},"):
        layer.backward(zeros(len(y) + 1, *y.shape[1:]))
    with pytest.raises(ValueError, match="has dtype float64; it must be float32"):
        layer.backward(y.astype(np.float64))
    with pytest.raises(ValueError, match="must be a NumPy array; got float"):
        layer.backward(1.0)
    assert all(parameter.grad is None for parameter in layer.parameters().values())
