"""Whole models beside the same in torch: the same start, the same batches, the same losses all the way."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from numpy_core import (
    GELU,
    SGD,
    Adam,
    AdamW,
    Embedding,
    LayerNorm,
    LearnedPositions,
    Linear,
    Residual,
    SelfAttention,
    Sequential,
    Trainer,
    clip_gradients,
    cosine,
    small_cnn,
    softmax_cross_entropy,
    softmax_regression,
    two_layer_mlp,
)
from tests.numpy_core.test_attention import TORCH_NAMES


def examples(shape: tuple[int, ...], classes: int, count: int, rng: np.random.Generator):
    """Noise about one pattern for each class, so that there is something to learn and something left to learn."""
    labels = rng.integers(0, classes, count)
    return rng.standard_normal((classes, *shape))[labels] + 1.5 * rng.standard_normal((count, *shape)), labels


def copy_weights(model, reference: nn.Module) -> nn.Module:
    """Ours and torch's Sequential name their parameters and running statistics alike."""
    state = {name: torch.tensor(array) for name, array in model.state().items()}
    missing, unexpected = reference.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return reference


def train_both(model, reference, optimizer, reference_optimizer, x, y, steps=200, max_norm=None, **loss_options):
    """The losses of both at each step, on the same batches."""
    order, losses, reference_losses = np.random.default_rng(1), [], []
    for _ in range(steps):
        index = order.choice(len(x), 16, replace=False)
        optimizer.zero_grad()
        loss, grad = softmax_cross_entropy(model(x[index]), y[index], **loss_options)
        model.backward(grad)
        if max_norm:
            clip_gradients(optimizer.parameters, max_norm)
        optimizer.step()
        losses.append(loss)

        reference_optimizer.zero_grad()
        logits = reference(torch.tensor(x[index])).flatten(0, -2)
        reference_loss = F.cross_entropy(logits, torch.tensor(y[index]).flatten(), **loss_options)
        reference_loss.backward()
        if max_norm:
            nn.utils.clip_grad_norm_(reference.parameters(), max_norm)
        reference_optimizer.step()
        reference_losses.append(reference_loss.item())
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:20]), "it learns, or there is little to compare"
    return losses, reference_losses


def assert_same_state(model, reference: nn.Module) -> None:
    theirs = reference.state_dict()
    for name, array in model.state().items():
        np.testing.assert_allclose(array, theirs[name].numpy(), rtol=1e-6, atol=1e-8, err_msg=name)


def test_softmax_regression():
    rng = np.random.default_rng(0)
    x, y = examples((1, 6, 5), 4, 100, rng)
    model = softmax_regression(30, 4, rng, dtype=np.float64)
    reference = copy_weights(model, nn.Sequential(nn.Flatten(), nn.Linear(30, 4)).double())
    optimizer = SGD(model.parameters().values(), 0.1, weight_decay=0.01)
    losses, expected = train_both(
        model, reference, optimizer, torch.optim.SGD(reference.parameters(), 0.1, weight_decay=0.01), x, y
    )
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-6)
    assert_same_state(model, reference)


def test_two_layer_mlp():
    rng = np.random.default_rng(0)
    x, y = examples((1, 6, 5), 4, 100, rng)
    model = two_layer_mlp(30, 20, 4, rng, dtype=np.float64)
    reference = nn.Sequential(nn.Flatten(), nn.Linear(30, 20), nn.ReLU(), nn.Dropout(0.0), nn.Linear(20, 4)).double()
    copy_weights(model, reference)
    losses, expected = train_both(
        model,
        reference,
        AdamW(model.parameters().values(), 3e-3, weight_decay=0.1),
        torch.optim.AdamW(reference.parameters(), 3e-3, weight_decay=0.1),
        x,
        y,
        label_smoothing=0.1,
    )
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-6)
    assert_same_state(model, reference)


TORCH_LAYERS = {  # of a small_cnn's layers, from ours
    "Conv2d": lambda ours: nn.Conv2d(ours.inputs, len(ours.weight.value), 3, padding=1, bias=ours.bias is not None),
    "BatchNorm2d": lambda ours: nn.BatchNorm2d(len(ours.weight.value)),
    "MaxPool2d": lambda ours: nn.MaxPool2d(2),
    "ReLU": lambda ours: nn.ReLU(),
    "Flatten": lambda ours: nn.Flatten(),
    "Dropout": lambda ours: nn.Dropout(ours.p),
    "Linear": lambda ours: nn.Linear(*ours.weight.value.shape[::-1]),
}


def test_small_cnn():
    """With batch normalisation in both modes: after training, the running statistics give the same logits."""
    rng = np.random.default_rng(0)
    x, y = examples((2, 9, 8), 4, 100, rng)
    model = small_cnn((2, 9, 8), 4, rng, widths=(4, 6), dtype=np.float64)
    reference = nn.Sequential(*(TORCH_LAYERS[type(layer).__name__](layer) for layer in model.layers)).double()
    copy_weights(model, reference)
    losses, expected = train_both(
        model,
        reference,
        SGD(model.parameters().values(), 0.02, momentum=0.9, weight_decay=1e-3, nesterov=True),
        torch.optim.SGD(reference.parameters(), 0.02, momentum=0.9, weight_decay=1e-3, nesterov=True),
        x,
        y,
    )
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-6)
    assert_same_state(model, reference)
    logits = reference.eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(model.eval()(x), logits, rtol=1e-6, atol=1e-6)


def test_small_cnn_of_one_width_per_halving():
    model = small_cnn((1, 28, 28), 10, np.random.default_rng(0), dropout=0.2)
    x = np.random.default_rng(1).standard_normal((2, 1, 28, 28)).astype(np.float32)
    assert model(x).shape == (2, 10)
    assert model.parameters()[f"{len(model.layers) - 1}.weight"].value.shape == (10, 64 * 3 * 3)


VOCABULARY, LENGTH, FEATURES, HEADS = 7, 6, 8, 2


class TorchBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(FEATURES), nn.MultiheadAttention(FEATURES, HEADS, batch_first=True)
        self.mlp = nn.Sequential(nn.LayerNorm(FEATURES), nn.Linear(FEATURES, 16), nn.GELU(), nn.Linear(16, FEATURES))

    def forward(self, x):
        normed, hidden = self.norm(x), torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
        x = x + self.attention(normed, normed, normed, need_weights=False, attn_mask=hidden)[0]
        return x + self.mlp(x)


class TorchTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.positions = nn.Embedding(VOCABULARY, FEATURES), nn.Embedding(LENGTH, FEATURES)
        self.blocks = nn.Sequential(TorchBlock(), TorchBlock())
        self.norm, self.head = nn.LayerNorm(FEATURES), nn.Linear(FEATURES, VOCABULARY)

    def forward(self, x):
        x = self.embedding(x) + self.positions.weight
        return self.head(self.norm(self.blocks(x)))


def our_transformer(rng: np.random.Generator) -> Sequential:
    def block() -> list[Residual]:
        return [
            Residual(
                Sequential(
                    LayerNorm(FEATURES, dtype=np.float64),
                    SelfAttention(FEATURES, HEADS, rng, causal=True, dtype=np.float64),
                )
            ),
            Residual(
                Sequential(
                    LayerNorm(FEATURES, dtype=np.float64),
                    Linear(FEATURES, 16, rng, dtype=np.float64),
                    GELU(),
                    Linear(16, FEATURES, rng, dtype=np.float64),
                )
            ),
        ]

    return Sequential(
        Embedding(VOCABULARY, FEATURES, rng, dtype=np.float64),
        LearnedPositions(LENGTH, FEATURES, rng, dtype=np.float64),
        *block(),
        *block(),
        LayerNorm(FEATURES, dtype=np.float64),
        Linear(FEATURES, VOCABULARY, rng, dtype=np.float64),
    )


def torch_name(name: str) -> str:
    """Where one of our transformer's parameters is found in torch's."""
    place, _, rest = name.partition(".")
    if place in ("0", "1", "6", "7"):
        return {"0": "embedding", "1": "positions", "6": "norm", "7": "head"}[place] + "." + rest
    block, second = divmod(int(place) - 2, 2)
    rest = rest.removeprefix("body.")
    if second:
        return f"blocks.{block}.mlp.{rest}"
    index, _, rest = rest.partition(".")
    return f"blocks.{block}." + (f"attention.{TORCH_NAMES[rest]}" if index == "1" else f"norm.{rest}")


def test_a_causal_transformer():
    """The next token of sequences in which it is the last one's successor, mostly; with clipped gradients."""
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.choice([1, 3], (80, LENGTH + 1), p=[0.8, 0.2]), 1)
    tokens = (rng.integers(0, VOCABULARY, (80, 1)) + steps) % VOCABULARY
    model, reference = our_transformer(rng), TorchTransformer().double()
    reference.load_state_dict({torch_name(name): torch.tensor(array) for name, array in model.state().items()})
    optimizer = Adam(model.parameters().values(), 3e-3)
    reference_optimizer = torch.optim.Adam(reference.parameters(), 3e-3)
    losses, expected = train_both(
        model, reference, optimizer, reference_optimizer, tokens[:, :-1], tokens[:, 1:], steps=50, max_norm=0.5
    )
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("build", [softmax_regression, two_layer_mlp, small_cnn])
def test_learns_one_batch_by_heart(build):
    rng = np.random.default_rng(0)
    x, y = examples((1, 8, 8), 3, 24, rng)
    arguments = {softmax_regression: (64, 3), two_layer_mlp: (64, 32, 3), small_cnn: ((1, 8, 8), 3)}[build]
    model = build(*arguments, rng, dtype=np.float64)
    trainer = Trainer(model, Adam(model.parameters().values()), cosine(0.03, 150), rng)
    losses = [trainer.step(x, y)[0] for _ in range(150)]
    assert losses[-1] < 0.02 < losses[0]
    assert trainer.step(x, y)[1] == len(x)
