"""Training a classifier, batch by batch, in a way that can stop after any epoch and go on exactly.

N examples, C classes.
"""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from numpy_core import checks, storage
from numpy_core.batches import batches
from numpy_core.losses import softmax_cross_entropy
from numpy_core.module import Module
from numpy_core.optimizers import Optimizer, clip_gradients
from numpy_core.progress import progress
from numpy_core.schedules import Schedule

Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]


class Trainer:
    """Fits a model to examples x (N, ...) with classes y (N,).

    After each epoch, `history` grows by {"epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy"};
    the training figures are means over the epoch's batches as they were trained on, with dropout and augmentation.

    Args:
        model: from x to logits.
        optimizer: over the model's parameters.
        schedule: learning rate at each step.
        rng: shuffles and augments; its state is part of a checkpoint, like that of the model's own generators.
        loss: of the training batches; validation is always by plain cross-entropy.
        max_norm: longest joint gradient, if any (`clip_gradients`).
        augment: from a training batch x to another of its shape.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        schedule: Schedule,
        rng: np.random.Generator,
        loss: Loss = softmax_cross_entropy,
        max_norm: float | None = None,
        augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    ):
        if max_norm is not None:
            checks.between(0, math.inf, max_norm=max_norm)
        self.model, self.optimizer, self.schedule, self.rng = model, optimizer, schedule, rng
        self.loss, self.max_norm, self.augment = loss, max_norm, augment
        self.history: list[dict[str, float]] = []

    def fit(
        self,
        train: tuple[np.ndarray, np.ndarray],
        val: tuple[np.ndarray, np.ndarray],
        epochs: int,
        batch_size: int,
        checkpoint: str | Path | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
    ) -> list[dict[str, float]]:
        """Train until `epochs` epochs are done in all, those before a `load` included; returns the history.

        A model in eval mode is put into training mode; in one in training mode, layers in eval mode stay frozen.
        `checkpoint` names a file to write after each epoch, `on_epoch` is told each entry of the history.
        """
        checks.sizes(epochs=epochs)
        checks.positive(batch_size=batch_size)
        _check(*train)
        _check(*val)
        while len(self.history) < epochs:
            epoch = len(self.history) + 1
            loss, accuracy = self._epoch(*train, batch_size, f"epoch {epoch}/{epochs}")
            val_loss, val_accuracy = evaluate(self.model, *val)
            entry = {"epoch": epoch, "lr": self.optimizer.lr, "train_loss": loss, "train_accuracy": accuracy}
            entry |= {"val_loss": val_loss, "val_accuracy": val_accuracy}
            self.history.append(entry)
            line = (
                f"epoch {epoch}/{epochs}  train {loss:.4f} {accuracy:.2%}  validation {val_loss:.4f} {val_accuracy:.2%}"
            )
            print(line, file=sys.stderr)
            if checkpoint:
                self.save(checkpoint)
            if on_epoch:
                on_epoch(entry)
        return self.history

    def step(self, x: np.ndarray, y: np.ndarray) -> tuple[float, int]:
        """One optimizer step on one batch: its loss, and how many of it were right."""
        self.optimizer.zero_grad()
        self.optimizer.lr = float(self.schedule(self.optimizer.steps))
        logits = self.model(x)
        loss, dlogits = self.loss(logits, y)
        if not np.isfinite(loss):
            raise ValueError(f"the loss is {loss} at step {self.optimizer.steps}; lower the learning rate or check x")
        self.model.backward(dlogits)
        if self.max_norm is not None:
            clip_gradients(self.optimizer.parameters, self.max_norm)
        self.optimizer.step()
        return loss, int((logits.argmax(-1) == y).sum())

    def _epoch(self, x: np.ndarray, y: np.ndarray, batch_size: int, label: str) -> tuple[float, float]:
        if not self.model.training:  # else each layer keeps its mode: a frozen batch norm stays frozen
            self.model.train()
        total, right = 0.0, 0
        count = -(-len(x) // batch_size)
        for index in progress(batches(len(x), batch_size, self.rng), count, label):
            batch = x[index] if self.augment is None else self.augment(x[index], self.rng)
            loss, correct = self.step(batch, y[index])
            total, right = total + loss * len(index), right + correct
        return total / len(x), right / y.size

    def save(self, path: str | Path) -> None:
        """Write everything that the next epoch depends on: weights, optimizer, random state, history."""
        arrays = {f"model/{name}": array for name, array in self.model.state().items()}
        arrays |= {f"optimizer/{name}": array for name, array in self.optimizer.state().items()}
        random = [generator.bit_generator.state for generator in self._generators()]
        rest = {"random": random, "history": self.history}
        arrays["rest"] = np.array(json.dumps(rest, default=np.ndarray.tolist))  # some generators keep arrays
        storage.save(path, arrays)

    def load(self, path: str | Path) -> None:
        """Go on from a file that `save` wrote for a trainer like this one; ValueError where it does not fit."""
        arrays = storage.load(path)
        if "rest" not in arrays:
            raise ValueError(f"{path} is no checkpoint of a Trainer: it holds {sorted(arrays)}")
        rest = json.loads(str(arrays["rest"]))
        generators = self._generators()
        if len(rest["random"]) != len(generators):
            raise ValueError(f"{path} has {len(rest['random'])} random generators; this trainer has {len(generators)}")
        before = self.model.state()
        self.model.load_state(_under("model/", arrays))
        try:
            self.optimizer.load_state(_under("optimizer/", arrays))
        except ValueError:
            self.model.load_state(before)  # what does not fit leaves everything as it was
            raise
        for generator, state in zip(generators, rest["random"], strict=True):
            generator.bit_generator.state = state
        self.history = rest["history"]

    def _generators(self) -> list[np.random.Generator]:
        return list({id(g): g for g in [self.rng, *self.model.generators()]}.values())


def evaluate(model: Module, x: np.ndarray, y: np.ndarray, batch_size: int = 500) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of a model in eval mode."""
    logits = predict(model, x, batch_size)
    return softmax_cross_entropy(logits, y)[0], float((logits.argmax(-1) == y).mean())


def predict(model: Module, x: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """Logits (N, C) of a model in eval mode; leaves every layer in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        return np.concatenate([model(x[index]) for index in batches(len(x), batch_size)])
    finally:
        for module, training in modes:
            module.training = training


def _check(x: np.ndarray, y: np.ndarray) -> None:
    if len(x) != len(y) or not len(x):
        raise ValueError(f"x holds {len(x)} examples and y {len(y)}; they must be as many, and at least one")


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
