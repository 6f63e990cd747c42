"""A two-layer MLP learns two spirals by automatic differentiation in NumPy; the graph of its loss is drawn.

    python -m examples.autograd_mlp

Writes graph.svg into runs/autograd_mlp/, of the loss on four points.
"""

import argparse
from pathlib import Path

import numpy as np

from numpy_core import AdamW, Tensor, graph_svg
from numpy_core.autograd import cross_entropy

HIDDEN = 32


class MLP:
    """Points (N, 2) -> logits (N, 2): x W1 + b1, ReLU, then W2 and b2."""

    def __init__(self, rng: np.random.Generator):
        self.weights = {
            "W1": Tensor(2 * rng.standard_normal((2, HIDDEN))),
            "b1": Tensor(rng.standard_normal(HIDDEN)),
            "W2": Tensor(rng.standard_normal((HIDDEN, 2)) / HIDDEN**0.5),
            "b2": Tensor(np.zeros(2)),
        }

    def __call__(self, x: Tensor) -> Tensor:
        w = self.weights
        return (x @ w["W1"] + w["b1"]).relu() @ w["W2"] + w["b2"]


def spirals(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 2) on two arms of a spiral, and which arm each is on (count,)."""
    arm = rng.integers(2, size=count)
    turn = rng.uniform(0.5, 3.5, count)
    angle = 2 * turn + np.pi * arm
    return np.stack([turn * np.cos(angle), turn * np.sin(angle)], 1) / 2 + 0.05 * rng.standard_normal((count, 2)), arm


def train(steps: int, rng: np.random.Generator) -> tuple[MLP, float]:
    """The network after so many steps of 100 points, and its accuracy on 1,000 new ones."""
    model = MLP(rng)
    optimizer = AdamW(model.weights.values(), lr=1e-2)
    for _ in range(steps):
        x, arm = spirals(100, rng)
        optimizer.zero_grad()
        cross_entropy(model(Tensor(x)), arm).backward()
        optimizer.step()
    x, arm = spirals(1000, rng)
    return model, float((model(Tensor(x)).value.argmax(1) == arm).mean())


def main(args: list[str] | None = None) -> None:
    """`python -m examples.autograd_mlp`."""
    parser = argparse.ArgumentParser(prog="python -m examples.autograd_mlp", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600, help="of 100 points each")
    parser.add_argument("--out", type=Path, default=Path("runs/autograd_mlp"), help="the folder of graph.svg")
    options = parser.parse_args(args)
    if options.steps < 0:
        parser.error(f"--steps {options.steps} must be at least 0")
    rng = np.random.default_rng(0)
    model, accuracy = train(options.steps, rng)
    print(f"accuracy on 1,000 new points after {options.steps} steps: {accuracy:.1%}")
    x, arm = spirals(4, rng)
    x = Tensor(x)
    for weight in model.weights.values():
        weight.grad = None
    loss = cross_entropy(model(x), arm)
    loss.backward()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "graph.svg"
    path.write_text(graph_svg(loss, {"x": x} | model.weights))
    print(f"the graph of its loss: {path}")


if __name__ == "__main__":
    main()
