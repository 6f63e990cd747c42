"""`numpy_core` on MNIST: softmax regression, a two-layer MLP, or a small CNN, all in NumPy.

    python -m examples.numpy_mnist softmax            # seconds
    python -m examples.numpy_mnist mlp --seeds 0 1 2  # one run a seed, then their mean
    python -m examples.numpy_mnist cnn --resume       # go on where a run was stopped

Each run keeps in runs/numpy_<model>/seed_<seed>: curves, the softmax weights or the first layer's as images, the
confusion matrix and the worst mistakes as PNG and for TensorBoard, result.json, and after each epoch a checkpoint.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter as clock

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch.utils.tensorboard import SummaryWriter
from torchmetrics.functional.classification import multiclass_confusion_matrix

from callbacks.classification_report import Mistake, confusion_figure, filter_grid, mistakes_figure
from callbacks.log_interval import interval
from datamodules.images import ImageSet
from datamodules.mnist import MNIST
from numpy_core import (
    AdamW,
    Module,
    Trainer,
    cosine,
    predict,
    small_cnn,
    softmax_cross_entropy,
    softmax_regression,
    two_layer_mlp,
)
from numpy_core.activations import softmax

MEAN, STD = 0.1307, 0.3081  # of MNIST's training pixels in [0, 1]
BATCH = 128


@dataclass
class Recipe:
    """What is trained, and how."""

    build: Callable[[np.random.Generator], Module]
    epochs: int
    lr: float
    weight_decay: float
    label_smoothing: float = 0.0
    shift: int = 0  # pixels


RECIPES = {
    "softmax": Recipe(partial(softmax_regression, 784, 10), epochs=15, lr=1e-3, weight_decay=0.01),
    "mlp": Recipe(
        lambda rng: two_layer_mlp(784, 512, 10, rng, dropout=0.2),
        epochs=12,
        lr=2e-3,
        weight_decay=0.05,
        label_smoothing=0.1,
    ),
    "cnn": Recipe(
        lambda rng: small_cnn((1, 28, 28), 10, rng, widths=(16, 32, 64), dropout=0.2),
        epochs=10,
        lr=3e-3,
        weight_decay=0.05,
        label_smoothing=0.1,
        shift=1,
    ),
}
NEXT = {"softmax": "mlp", "mlp": "cnn", "cnn": "cnn --seeds 1 2"}


def arrays(images: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 1, 28, 28) float32 of mean 0 and std 1, and classes (N,)."""
    pixels = images.images.numpy().astype(np.float32)
    return (pixels / 255 - MEAN) / STD, images.labels.numpy()


def shifted(pixels: int, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image of (N, C, H, W) moved by up to so many pixels in both directions, its edge repeated."""
    padded = np.pad(x, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, x.shape[2:], axis=(2, 3)
    )  # (N, C, 2 p + 1, 2 p + 1, H, W)
    down, right = rng.integers(0, 2 * pixels + 1, (2, len(x)))
    return windows[np.arange(len(x)), :, down, right]


def train(name: str, seed: int, data: MNIST, folder: Path, resume: bool) -> dict[str, float]:
    """One run: trains, tests, draws; returns test accuracy and seconds of training.

    With `resume`, a run that was stopped goes on, its seconds counted in; a finished one is left as it is.
    """
    recipe, rng = RECIPES[name], np.random.default_rng(seed)
    checkpoint, told = folder / "last.npz", folder / "result.json"
    result = {"seed": seed, "source": data.hparams.source, "train_seconds": 0.0}
    if resume and checkpoint.exists() and told.exists():
        result |= json.loads(told.read_text())
        if result["source"] != data.hparams.source:
            raise ValueError(
                f"{folder} holds a run on {result['source']}, not on {data.hparams.source}; give another --out"
            )
        if "test_accuracy" in result and result.get("epochs", 0) >= recipe.epochs:
            return result
    earlier = result["train_seconds"]
    board = SummaryWriter(str(folder))
    train_set, val_set, test_set = (arrays(part) for part in (data.train_set, data.val_set, data.test_set))
    model = recipe.build(rng)
    steps = recipe.epochs * -(-len(train_set[0]) // BATCH)

    def loss(logits: np.ndarray, classes: np.ndarray) -> tuple[float, np.ndarray]:
        """The recipe's loss, of which the board gets at least twenty points."""
        value, gradient = softmax_cross_entropy(logits, classes, label_smoothing=recipe.label_smoothing)
        if trainer.optimizer.steps % interval(steps) == 0:
            board.add_scalar("train/loss", value, trainer.optimizer.steps)
        return value, gradient

    trainer = Trainer(
        model,
        AdamW(model.parameters().values(), weight_decay=recipe.weight_decay),
        cosine(recipe.lr, steps, warmup=min(200, steps // 10)),
        rng,
        loss=loss,
        augment=partial(shifted, recipe.shift) if recipe.shift else None,
    )
    if resume and checkpoint.exists():
        trainer.load(checkpoint)

    def log(entry: dict[str, float]) -> None:
        result.update(epochs=entry["epoch"], train_seconds=earlier + clock() - begin)
        told.write_text(json.dumps(result))
        for key, value in entry.items():
            if "_" in key and key != "train_loss":
                board.add_scalar(key.replace("_", "/", 1), value, trainer.optimizer.steps)

    begin = clock()
    trainer.fit(train_set, val_set, recipe.epochs, BATCH, checkpoint, log)
    logits = predict(model, test_set[0])
    draw(model, trainer.history, data.test_set, logits, folder, board)
    result["test_accuracy"] = float((logits.argmax(1) == test_set[1]).mean())
    told.write_text(json.dumps(result))
    return result


def draw(
    model: Module, history: list[dict], test: ImageSet, logits: np.ndarray, folder: Path, board: SummaryWriter
) -> None:
    """Curves, first-layer weights, confusion matrix, and the most confident mistakes, as PNG and to TensorBoard."""
    predicted, confidence = logits.argmax(1), softmax(logits).max(1)
    wrong = np.flatnonzero(predicted != test.labels.numpy())
    worst = wrong[np.argsort(-confidence[wrong])][:25]
    mistakes = [
        Mistake(float(confidence[i]), i, test.images[i], int(test.labels[i]), int(predicted[i])) for i in worst.tolist()
    ]
    confusion = multiclass_confusion_matrix(torch.from_numpy(predicted), test.labels, num_classes=logits.shape[1])
    figures = {
        "curves": curves_figure(history),
        "weights": weights_figure(model),
        "confusion": confusion_figure(confusion, MNIST.class_names),
        "mistakes": mistakes_figure(mistakes, MNIST.class_names),
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=120)
        board.add_figure(name, figure, len(history))
    board.close()


def curves_figure(history: list[dict]) -> Figure:
    """Loss and accuracy by epoch, in training and on the validation set."""
    figure = Figure((9, 3.5), layout="tight")
    epochs = [entry["epoch"] for entry in history]
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for stage in ("train", "val"):
            axes.plot(epochs, [entry[f"{stage}_{quantity}"] for entry in history], label=stage)
        axes.set(xlabel="epoch", ylabel="loss, nats" if quantity == "loss" else quantity)
        axes.legend()
        axes.grid(alpha=0.3)
    return figure


def weights_figure(model: Module) -> Figure:
    """The first layer's weights as images: of softmax regression, what each class looks for."""
    weight = next(iter(model.parameters().values())).value  # (n, 784) or (n, 1, 3, 3)
    grid = filter_grid(
        torch.from_numpy(weight[:64].reshape(-1, 1, *((28, 28) if weight.ndim == 2 else weight.shape[2:])))
    )
    figure = Figure((8, 8 * grid.shape[1] / grid.shape[2]), layout="tight")
    axes = figure.subplots()
    axes.imshow(grid.permute(1, 2, 0).numpy())
    axes.axis("off")
    if len(weight) == len(MNIST.class_names):  # softmax regression has one for each class
        side = 30  # of a tile and its border
        for number, name in enumerate(MNIST.class_names):
            row, column = divmod(number, grid.shape[2] // side)
            axes.text(side * column + 4, side * row + 4, name, va="top", color="white", weight="bold")
    return figure


def main(args: list[str] | None = None) -> None:
    """`python -m examples.numpy_mnist`."""
    parser = argparse.ArgumentParser(prog="python -m examples.numpy_mnist", description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=RECIPES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one run for each")
    parser.add_argument("--source", default="ylecun/mnist", help='a Hub id, a folder, or "fonts"')
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--resume", action="store_true", help="go on where a run was stopped; leave a finished one")
    options = parser.parse_args(args)
    try:
        data = MNIST(source=options.source, val_share=1 / 12)
        data.setup()
        folders = [options.out / f"numpy_{options.model}" / f"seed_{seed}" for seed in options.seeds]
        runs = zip(options.seeds, folders, strict=True)
        results = [train(options.model, seed, data, folder, options.resume) for seed, folder in runs]
    except (ValueError, OSError) as error:
        print(f"numpy_mnist: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    title = f"{options.model}, {len(data.test_set):,} test digits"
    table = Table("seed", "test accuracy", "seconds of training", title=title)
    for result in results:
        table.add_row(str(result["seed"]), f"{result['test_accuracy']:.2%}", f"{result['train_seconds']:.1f}")
    means = [np.mean([result[key] for result in results]) for key in ("test_accuracy", "train_seconds")]
    table.add_row("mean", f"{means[0]:.3%}", f"{means[1]:.1f}")
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(table, soft_wrap=False)
    for folder in folders:
        console.print(f"run     {folder}")
    console.print(f"look at {folders[0]}/curves.png\n        {folders[0]}/mistakes.png")
    console.print(f"curves  tensorboard --logdir {options.out}")
    console.print(f"next    python -m examples.numpy_mnist {NEXT[options.model]}")


if __name__ == "__main__":
    main()
