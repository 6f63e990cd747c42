"""Stage 1: layers, losses and optimizers in NumPy, graded by PyTorch's autograd."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import numpy_core as nc
from datamodules import fonts
from exercises.exercise import Stage
from exercises.grading import Wrong, at_least, same
from numpy_core import activations, autograd, losses, models, normalization, optimizers, trainer

STAGE = Stage("NumPy: gradients by hand")


def gradients(layer: nc.Module, reference: Callable[[Tensor, dict[str, Tensor]], Tensor], x: np.ndarray) -> None:
    """The gradients of a layer against those of the same function of tensors: (x, parameters by name) -> y."""
    rng = np.random.default_rng(0)
    for parameter in layer.parameters().values():
        parameter.value[...] = rng.standard_normal(parameter.value.shape)
        parameter.grad = None
    tensors = {name: torch.tensor(p.value, requires_grad=True) for name, p in layer.parameters().items()}
    given = torch.tensor(x, requires_grad=True)
    expected = reference(given, tensors)
    same("output", layer(x), expected)
    dy = rng.standard_normal(tuple(expected.shape))
    dx = layer.backward(dy)
    expected.backward(torch.tensor(dy))
    same("gradient of the input", dx, given.grad)
    for name, parameter in layer.parameters().items():
        same(f"gradient of {name}", parameter.grad, tensors[name].grad)


def normal(*shape: int) -> np.ndarray:
    """Normal numbers, the same in every run."""
    return np.random.default_rng(1).standard_normal(shape)


@STAGE.exercise(nc.ReLU.backward, level=1)
def relu(answer: Any) -> None:
    """The gradient of ReLU.

    y = max(x, 0), so dy/dx is 1 where x > 0, else 0. `backward` takes dL/dy and returns dL/dx.
    `(y,) = self._recall(dy)` gives back what forward remembered.
    """
    gradients(answer.ReLU(), lambda x, _: x.relu(), normal(3, 4))


@STAGE.exercise(nc.Linear.backward, level=1)
def linear(answer: Any) -> None:
    """The three gradients of a linear layer.

    y = x W^T + b. With dy = dL/dy, of shape (N, O):
        dW = dy^T x,   db = the sum of dy over the rows,   dx = dy W
    Hand dW and db to `self.weight.accumulate` and `self.bias.accumulate`; return dx.
    There may be no bias, and x may have more leading axes than one: reshape it to rows.
    """
    rng = np.random.default_rng(0)
    gradients(answer.Linear(4, 3, rng, dtype="float64"), lambda x, p: F.linear(x, p["weight"], p["bias"]), normal(5, 4))
    gradients(answer.Linear(4, 3, rng, bias=False, dtype="float64"), lambda x, p: x @ p["weight"].mT, normal(2, 5, 4))


@STAGE.exercise(activations.softmax_backward, level=2)
def softmax(answer: Any) -> None:
    """The gradient of softmax.

    y_i = exp(x_i) / sum_j exp(x_j). Derive dy_i/dx_j, in terms of y alone; then
    dL/dx_j = sum_i dL/dy_i dy_i/dx_j, which takes one line without any loop.
    """
    for axis in (-1, 0):
        x, dy = torch.tensor(normal(3, 4), requires_grad=True), torch.tensor(normal(4, 3)).mT
        y = x.softmax(axis)
        y.backward(dy)
        same(f"gradient along axis {axis}", answer.softmax_backward(dy.numpy(), y.detach().numpy(), axis), x.grad)


@STAGE.exercise(losses.softmax_cross_entropy, level=2)
def softmax_cross_entropy(answer: Any) -> None:
    """The loss of classifiers, with its gradient.

    L = - mean over the N examples of log softmax(logits)[target]. Return (L as a float, dL/dlogits).
    Then smooth the targets: q_c = (1 - e) [c = target] + e / C, and L = - mean of sum_c q_c log softmax(logits)_c.
    Subtract the largest logit first: exp(1000) is infinite. The gradient is (softmax(logits) - q) / N.
    """
    targets = np.array([0, 2, 1, 2])
    for what, scale, smoothing in (("", 1, 0.0), (" with label smoothing", 1, 0.1), (" of large logits", 1000, 0.0)):
        logits = torch.tensor(scale * normal(4, 3), requires_grad=True)
        expected = F.cross_entropy(logits, torch.tensor(targets), label_smoothing=smoothing)
        expected.backward()
        given = answer.softmax_cross_entropy(logits.detach().numpy(), targets, smoothing)
        if not isinstance(given, tuple) or len(given) != 2:
            raise Wrong(f"expected a loss and a gradient, got {type(given).__name__}")
        same(f"loss{what}", given[0], expected)
        same(f"gradient{what}", given[1], logits.grad)


@STAGE.exercise(models.two_layer_mlp, level=1)
def two_layer_mlp(answer: Any) -> None:
    """A network that reaches 93 % on digits.

    Return a `Sequential` of Flatten, Linear, ReLU, Dropout and Linear. A good start matters: `kaiming_normal` for
    the layer before the ReLU, `xavier_uniform` for the last. Dropout(dropout, rng).
    """
    rng = np.random.default_rng(0)
    at_least("accuracy on 500 new digits", digits(answer.two_layer_mlp(256, 128, 10, rng), nc.Trainer), 0.93)


@STAGE.exercise(optimizers.SGD._update, level=1)
def sgd(answer: Any) -> None:
    """Stochastic gradient descent with momentum.

    g <- g + weight_decay w;   v <- momentum v + g;   w <- w - lr v,
    with Nesterov's momentum w <- w - lr (g + momentum v). `kept` holds v alone. Change w and v in place
    (`w -= ...`); leave g as it is.
    """
    for options in ({}, {"weight_decay": 0.1}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}):
        steps(answer.SGD, torch.optim.SGD, lr=0.1, **options)


@STAGE.exercise(trainer.Trainer.step, level=1)
def training_step(answer: Any) -> None:
    """A step of training that reaches 93 %.

    In this order: forget the gradients; set the optimizer's learning rate to `self.schedule(self.optimizer.steps)`;
    forward; `self.loss(logits, y)` gives loss and gradient; backward; clip the gradients where `self.max_norm` is
    given (`clip_gradients`); the optimizer's step. Return the loss, and how many of the batch were right.
    """
    model = nc.two_layer_mlp(256, 128, 10, np.random.default_rng(0))
    at_least("accuracy on 500 new digits", digits(model, answer.Trainer), 0.93)
    weight = nc.Linear(3, 2, np.random.default_rng(0), dtype="float64")
    optimizer = nc.SGD(weight.parameters().values(), lr=1.0)
    mine = answer.Trainer(weight, optimizer, nc.constant(0.5), np.random.default_rng(0), max_norm=0.1)
    x, y = normal(8, 3), np.arange(8) % 2
    expected, gradient = nc.softmax_cross_entropy(weight(x), y)
    right = int((weight(x).argmax(1) == y).sum())
    before = weight.weight.value.copy()
    given = mine.step(x, y)
    same("loss of a batch, and how many were right", given, np.array([expected, right]))
    norm = np.hypot(np.linalg.norm(gradient.T @ x), np.linalg.norm(gradient.sum(0)))
    moved = 0.5 * gradient.T @ x * min(1, 0.1 / norm)
    same("step with max_norm=0.1 and the schedule's learning rate of 0.5", before - weight.weight.value, moved)


@STAGE.exercise(optimizers.Adam._move, level=2)
def adam(answer: Any) -> None:
    """Adam.

    m <- b1 m + (1 - b1) g;   v <- b2 v + (1 - b2) g^2;
    w <- w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)
    Change w, m and v in place; t counts from 1.
    """
    steps(answer.Adam, torch.optim.Adam, lr=0.1, betas=(0.8, 0.9))
    steps(answer.AdamW, torch.optim.AdamW, lr=0.1, weight_decay=0.1)


@STAGE.exercise(nc.MaxPool2d.backward, level=2)
def max_pool(answer: Any) -> None:
    """The gradient of max pooling.

    Each dy goes to the place where its window had its maximum; windows that overlap may share one.
    `padded, y = self._recall(dy)`. `self.windows.taps(dy.shape[2:])` gives, for each place in a window, its row and
    column there and an index such that `padded[index]` has y's shape. `self.windows.crop` takes the border away.
    Where a window holds its maximum twice, the first takes the gradient.
    """
    gradients(answer.MaxPool2d(2), lambda x, _: F.max_pool2d(x, 2), normal(2, 3, 4, 6))
    gradients(answer.MaxPool2d(3, 2, 1), lambda x, _: F.max_pool2d(x, 3, 2, 1), normal(2, 3, 5, 5))
    gradients(answer.MaxPool2d(3, 1), lambda x, _: F.max_pool2d(x, 3, 1), normal(1, 2, 5, 5).round())


@STAGE.exercise(nc.Conv2d.backward, level=3)
def convolution(answer: Any) -> None:
    """The gradients of convolution.

    forward writes convolution as a product: Y = W X, where the columns X are shifted copies of the images. So
        dW = dY X^T,   dX = W^T dY,   db = dY summed over images and places
    and each number of dX goes back to the place of the image that it was copied from.
    `(padded,) = self._recall(dy)`. `self._columns(padded)` gives, a few images at a time, which ones and their
    columns (G, C/G K L, n P Q); `self.windows.taps(dy.shape[2:])` gives row, column and place of each copy.
    """
    rng = np.random.default_rng(0)
    gradients(
        answer.Conv2d(2, 3, 3, rng, padding=1, dtype="float64"),
        lambda x, p: F.conv2d(x, p["weight"], p["bias"], padding=1),
        normal(2, 2, 4, 5),
    )
    gradients(
        answer.Conv2d(4, 6, (2, 3), rng, 2, 1, groups=2, bias=False, dtype="float64"),
        lambda x, p: F.conv2d(x, p["weight"], stride=2, padding=1, groups=2),
        normal(2, 4, 5, 5),
    )


@STAGE.exercise(nc.LayerNorm.backward, level=2)
def layer_norm(answer: Any) -> None:
    """The gradients of layer normalisation.

    y = gamma z + beta, z = (x - mean) / sqrt(variance + epsilon) over the last axis. Mean and variance depend on
    every x: the module's docstring has the result; derive it on paper first.
    `z, scale = self._recall(dy)`; scale is 1 / sqrt(variance + epsilon).
    """
    layer = answer.LayerNorm(4, dtype="float64")
    gradients(layer, lambda x, p: F.layer_norm(x, (4,), p["weight"], p["bias"]), normal(2, 3, 4))


@STAGE.exercise(normalization._BatchNorm.backward, level=3)
def batch_norm(answer: Any) -> None:
    """The gradients of batch normalisation.

    The same derivation, over the batch for each channel (axis 1). In eval mode the running statistics are used, which
    do not depend on x. `z, scale, training = self._recall(dy)`; `self._spread(array, dy)` shapes (C,) to meet axis 1.
    """
    layer = answer.BatchNorm2d(3, dtype="float64")
    gradients(layer, lambda x, p: F.batch_norm(x, None, None, p["weight"], p["bias"], True), normal(4, 3, 2, 2))
    mean, var = (torch.tensor(array.copy()) for array in (layer.running_mean, layer.running_var))
    gradients(layer.eval(), lambda x, p: F.batch_norm(x, mean, var, p["weight"], p["bias"]), normal(4, 3, 2, 2))


@STAGE.exercise(nc.SelfAttention.backward, level=3)
def attention_by_hand(answer: Any) -> None:
    """The gradients of attention.

    S = q k^T / sqrt(D), A = softmax(S), Z = A v, y = join(Z) W_out^T. Go back through it, last step first:
    `self.out.backward(dy)` gives dL/djoin(Z), `self._split(..., parts=1)` cuts it into heads again; then dv, dA,
    dS (`softmax_backward`), dq and dk; at last `self.qkv.backward` of the three, joined, side by side.
    `query, key, value, weights = self._recall(dy)`.
    """
    layer = answer.SelfAttention(6, 2, np.random.default_rng(0), causal=True, dtype="float64")

    def reference(x: Tensor, p: dict[str, Tensor]) -> Tensor:
        q, k, v = F.linear(x, p["qkv.weight"], p["qkv.bias"]).unflatten(-1, (3, 2, 3)).permute(2, 0, 3, 1, 4)
        heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return F.linear(heads.transpose(1, 2).flatten(2), p["out.weight"], p["out.bias"])

    gradients(layer, reference, normal(2, 4, 6))


@STAGE.exercise(autograd.Tensor.__matmul__, level=2)
def matmul(answer: Any) -> None:
    """The matrix product, with its two gradients.

    Z = X Y, so dX = dZ Y^T and dY = X^T dZ. Return a Tensor of the product, with the operation "@" and both sources,
    each with its pullback (look at __mul__). `swapaxes(-1, -2)` transposes the last two axes.
    """
    for left, right in (((3, 4), (4, 2)), ((5, 3, 4), (4, 2))):
        x, y = answer.Tensor(normal(*left)), answer.Tensor(normal(*right))
        expected = [torch.tensor(tensor.value, requires_grad=True) for tensor in (x, y)]
        product = expected[0] @ expected[1]
        product.square().sum().backward()
        z = x @ y
        if not isinstance(z, answer.Tensor):
            raise Wrong(f"x @ y: expected a Tensor, got a {type(z).__name__}")
        same("x @ y", z.value, product)
        (z * z).sum().backward()
        same("gradient of x", x.grad, expected[0].grad)
        same("gradient of y", y.grad, expected[1].grad)


@STAGE.exercise(autograd.Tensor.backward, level=2)
def backward(answer: Any) -> None:
    """loss.backward(): the chain rule on a graph.

    Start with a gradient of 1 at this tensor. Go through `self.graph()` from its end: a tensor's gradient is known
    when all tensors made from it were visited. Add it to the tensor's `grad` (`accumulate`, a copy), and hand it on to
    each source: `_summed_to(source.value.shape, pullback(gradient))`. What several tensors were made from gets the sum.
    """
    x, y = answer.Tensor(normal(3, 1)), answer.Tensor(normal(1, 4))
    tensors = [torch.tensor(tensor.value, requires_grad=True) for tensor in (x, y)]
    ((x * y).tanh() * x + y.exp()).sum().backward()
    ((tensors[0] * tensors[1]).tanh() * tensors[0] + tensors[1].exp()).sum().backward()
    same("gradient of x, which is used twice", x.grad, tensors[0].grad)
    same("gradient of y, which is used twice", y.grad, tensors[1].grad)
    one = answer.Tensor(1.0)
    total = one
    for _ in range(20):
        total = total + total
    total.backward()
    same("gradient of x in 2^20 x, by 20 additions", one.grad, 2.0**20)
    (one * 3).backward()
    same("its gradient after a second backward, of 3 x", one.grad, 2.0**20 + 3)


def steps(mine: type[nc.SGD] | type[nc.Adam], theirs: type[torch.optim.Optimizer], **options: Any) -> None:
    """Four steps of both optimizers from the same weights, by the same gradients."""
    parameter, reference = nc.Parameter(normal(2, 3)), nn.Parameter(torch.tensor(normal(2, 3)))
    optimizer, expected = mine([parameter], **options), theirs([reference], **options)
    said = ", ".join(f"{name}={value}" for name, value in options.items())
    for step in range(1, 5):
        gradient = np.sin(step * normal(2, 3))
        parameter.grad, reference.grad = gradient.copy(), torch.tensor(gradient)
        optimizer.step()
        expected.step()
        same(f"weights after step {step} with {said}", parameter.value, reference)


def digits(model: nc.Module, trainer: Any, epochs: int = 15) -> float:
    """The accuracy that a network of 256 inputs reaches on new digits drawn from fonts, 16 x 16 pixels."""
    rng = np.random.default_rng(0)
    optimizer = nc.AdamW(model.parameters().values(), weight_decay=0.05)
    images, classes = (tensor.numpy() for tensor in fonts.draw(4000, (1, 16, 16), rng))
    x = images.astype(np.float32) / 255 - 0.5
    training = trainer(model, optimizer, nc.cosine(1e-2, epochs * 3500 // 70), rng)
    for _ in range(epochs):
        for index in nc.batches(3500, 70, rng):
            training.step(x[index], classes[index])
    return nc.evaluate(model, x[3500:], classes[3500:])[1]
