"""Digits: what is drawn, read by models written in NumPy and in PyTorch, and what each of them looks at."""

import threading
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from PIL import Image

from app.models import command_of
from app.request import Request
from app.tab import Answer, Say, Tab, packed, rounded
from numpy_core import Module, small_cnn, softmax_regression, storage, two_layer_mlp
from numpy_core.activations import softmax

CLASSIFIERS = tuple(
    f"lightning_modules.{module}"
    for module in (
        "classifier.Classifier",
        "mlp_classifier.MLPClassifier",
        "cnn_classifier.CNNClassifier",
        "fast_cnn_classifier.FastCNNClassifier",
    )
)
SIDE = 112  # pixels of the drawing that the page sends: four to each of an MNIST digit
DIGIT, INK = 28, 20  # MNIST's images, and the box that their ink fills
WEIGHTS = Path(__file__).parent.parent / "numpy_weights"
MEAN, STD = 0.1307, 0.3081  # of MNIST's training pixels in [0, 1]
NUMPY_LOCK = threading.Lock()
BUILD: dict[str, Callable[[np.random.Generator], Module]] = {
    "softmax": lambda rng: softmax_regression(DIGIT**2, 10, rng),
    "mlp": lambda rng: two_layer_mlp(DIGIT**2, 512, 10, rng),
    "cnn": lambda rng: small_cnn((1, DIGIT, DIGIT), 10, rng),
}


class DigitsTab(Tab):
    """A drawing, and who reads what in it."""

    def hello(self) -> Answer:
        templates = numpy_model("softmax", self._numpy()["softmax"]).state()["1.weight"]  # (10, 784)
        return {
            "side": SIDE,
            "readers": [
                *(
                    {"name": f"NumPy {name}", "command": f"python -m examples.numpy_mnist {name}"}
                    for name in self._numpy()
                ),
                *({"name": name, "command": command_of(name)} for name in self._trained()),
            ],
            "templates": [packed(signed(row.reshape(DIGIT, DIGIT))) for row in templates],
        }

    def requests(self) -> dict[str, Callable[[Request, Say], None]]:
        return {"read": self._read}

    def _numpy(self) -> dict[str, Path]:
        """Files of weights of the NumPy models: the newest run of each, or those that ship."""
        found = {name: WEIGHTS / f"{name}.npz" for name in BUILD}
        for path in sorted(
            self.app_state.models.runs.glob("numpy_*/*/last.npz"), key=lambda path: path.stat().st_mtime
        ):
            name = path.parent.parent.name.removeprefix("numpy_")
            if name in found:
                found[name] = path
        return {name: path for name, path in found.items() if path.is_file()}

    def _trained(self) -> dict[str, Path]:
        return self.app_state.models.of(CLASSIFIERS, lambda given: list(given.get("shape") or []) == [1, DIGIT, DIGIT])

    def _read(self, request: Request, say: Say) -> None:
        digit = as_mnist(request.pixels("drawing", (SIDE, SIDE)))
        if digit is None:
            say({"kind": "nothing"})
            return
        say({"kind": "digit", "image": packed(digit)})
        for name, probabilities, gradient in self._readings(digit, say):
            say(
                {
                    "kind": "reading",
                    "reader": name,
                    "probabilities": rounded(probabilities),
                    "gradient": packed(signed(gradient)),
                }
            )

    def _readings(self, digit: np.ndarray, say: Say) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Each reader's name, probabilities (10,), and the gradient (28, 28) of its likeliest class's logit."""
        x = ((digit.astype(np.float32) / 255 - MEAN) / STD)[None, None]
        for name, path in self._numpy().items():
            model = numpy_model(name, path)
            with NUMPY_LOCK:  # a layer remembers its input until the backward pass
                logits = model.forward(x)
                one_hot = np.eye(10, dtype=np.float32)[logits.argmax(1)]
                gradient = model.backward(one_hot).reshape(DIGIT, DIGIT)
            yield f"NumPy {name}", softmax(logits)[0], gradient
        import torch

        for name, place in self._trained().items():
            classifier = self.app_state.models.load(name, place, partial(say, {"kind": "loading", "model": name}))
            pixels = classifier.normalised(torch.from_numpy(digit)[None, None]).requires_grad_()
            logits = classifier.network(pixels).float()
            (gradient,) = torch.autograd.grad(logits.max(), pixels)
            yield name, logits.softmax(1)[0].detach().numpy(), gradient[0, 0].float().numpy()


@lru_cache(maxsize=12)
def numpy_model(name: str, path: Path) -> Module:
    """One of the three models of `examples.numpy_mnist`, with the weights in a file: float16, or a run's checkpoint."""
    model = BUILD[name](np.random.default_rng(0)).eval()
    stored, own = storage.load(path), model.state()
    prefix = "" if stored.keys() == own.keys() else "model/"
    if missing := [key for key in own if prefix + key not in stored]:
        raise ValueError(f"{path} lacks {', '.join(missing)}: it holds no weights of examples.numpy_mnist {name}")
    model.load_state({key: stored[prefix + key].astype(array.dtype) for key, array in own.items()})
    return model


def as_mnist(drawing: np.ndarray) -> np.ndarray | None:
    """A drawing (H, W) uint8, bright on black, as MNIST has its digits: (28, 28) uint8; None where nothing is drawn.

    "Normalized to fit in a 20x20 pixel box while preserving their aspect ratio [...] and centered in a 28x28 image by
    the center of mass of the pixels" (LeCun, Cortes & Burges).
    """
    rows, columns = np.nonzero(drawing > 32)
    if not len(rows):
        return None
    ink = drawing[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = INK / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    small = np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BOX), np.float64)
    total = small.sum()
    centre = (np.indices(small.shape) * small).sum((1, 2)) / total
    top, left = (np.clip(round(DIGIT / 2 - 0.5 - c), 0, DIGIT - s) for c, s in zip(centre, small.shape, strict=True))
    digit = np.zeros((DIGIT, DIGIT), np.uint8)
    digit[top : top + height, left : left + width] = small.round()
    return digit


def signed(values: np.ndarray) -> np.ndarray:
    """Numbers as uint8 with 128 for 0, the largest of them 1 or 255."""
    largest = float(np.abs(values).max()) or 1.0
    return (128 + 127 * values / largest).round().astype(np.uint8)
