"""The same MLP by hand and in Lightning: one training step from the same weights on the same batch gives the same."""

from functools import partial

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lightning_modules.mlp_classifier import MLPClassifier
from numpy_core import SGD, AdamW, Trainer, constant, softmax_cross_entropy, two_layer_mlp
from optim.lr_schedule import WarmupCosine

MEAN, STD, RATE = 0.13, 0.31, 0.01
OPTIMIZERS = {  # by hand, and torch's
    "adamw": (
        lambda parameters: AdamW(parameters, weight_decay=0),
        partial(torch.optim.AdamW, weight_decay=0.0),
    ),
    "sgd": (
        lambda parameters: SGD(parameters, RATE, momentum=0.9, nesterov=True),
        partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    ),
}


def torch_name(name: str, network: torch.nn.Module) -> str:
    """Our layers "1" and "4" are the first and the last linear one of the other network."""
    linear = [place for place, layer in network.named_modules() if isinstance(layer, torch.nn.Linear)]
    place, _, kind = name.partition(".")
    return f"{linear[0 if place == '1' else -1]}.{kind}"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_step(name):
    rng = np.random.default_rng(0)
    by_hand, torchs = OPTIMIZERS[name]
    images, labels = rng.integers(0, 256, (16, 1, 28, 28), np.uint8), rng.integers(0, 10, 16)

    ours = two_layer_mlp(784, 32, 10, rng)
    theirs = MLPClassifier(
        hidden=[32],
        mean=[MEAN],
        std=[STD],
        label_smoothing=0.1,
        optimizer=torchs,
        lr=RATE,
        lr_schedule=WarmupCosine(warmup=0),
    )
    before = ours.state()
    names = {key: torch_name(key, theirs.network) for key in before}
    theirs.network.load_state_dict({names[key]: torch.tensor(array) for key, array in before.items()})

    x = ((images / np.float32(255) - np.float32(MEAN)) / np.float32(STD)).astype(np.float32)
    trainer = Trainer(
        ours,
        by_hand(ours.parameters().values()),
        constant(RATE),
        rng,
        loss=lambda logits, y: softmax_cross_entropy(logits, y, label_smoothing=0.1),
    )
    trainer.step(x, labels)
    batch = {"image": torch.tensor(images), "label": torch.tensor(labels)}
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    L.Trainer(max_steps=1, accelerator="cpu", **quiet).fit(theirs, DataLoader([batch], batch_size=None))

    after = theirs.network.state_dict()
    for key, array in ours.state().items():
        moved = np.abs(array - before[key]).max()
        assert moved > 1e-3, f"{key} has moved"
        # float32 sums 784 products in two orders; Adam divides by the size of a gradient, however small
        np.testing.assert_allclose(array, after[names[key]].numpy(), rtol=1e-4, atol=1e-3 * moved, err_msg=key)
