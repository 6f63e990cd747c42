"""How much a linear layer can read from features: the usual measure of those that were learned without labels.

N images, F features, K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from limits import number

ITERATIONS = 200  # of L-BFGS, at most


def linear_probe(
    features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor, weight_decay: float = 1e-4
) -> float:
    """The share of test features whose class softmax regression finds, trained on features (N, F) and classes (N,).

    Features are standardised by those it is trained on. What is minimised, by L-BFGS from zero in float64, is the mean
    cross-entropy + weight_decay / 2 |W|^2: a convex problem, so that there is nothing to seed or to tune.

    Raises ValueError where there is nothing to train or to test on.
    """
    number("[0, 1e9]", weight_decay=weight_decay)
    if not len(features) or not len(test_features):
        raise ValueError(
            f"a linear probe trains on images and tests on images; got {len(features)} and {len(test_features)}"
        )
    with torch.inference_mode(False), torch.enable_grad():  # a test turns gradients off
        sets = features.clone(), labels.clone(), test_features.clone(), test_labels.clone()
        return _accuracy(*sets, weight_decay)


def _accuracy(x: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor, weight_decay: float) -> float:
    mean, std = x.double().mean(0), x.double().std(0, correction=0)
    x, test = ((part.double() - mean) / std.clamp(min=1e-12) for part in (x, test))
    classes = int(torch.cat([labels, test_labels]).max()) + 1
    weight = torch.zeros(classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = F.cross_entropy(F.linear(x, weight, bias), labels) + weight_decay / 2 * weight.square().sum()
        value.backward()
        return value

    solver.step(loss)
    return (F.linear(test, weight, bias).argmax(1) == test_labels).double().mean().item()
