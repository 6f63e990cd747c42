import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from metrics.linear_probe import linear_probe


def clouds(n, seed, distance):
    """Three classes around the corners of a triangle, on very different scales, and two features of noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]) * distance
    features = torch.randn(n, 4, generator=generator)
    features[:, :2] += corners[labels]
    return features * torch.tensor([1.0, 1e3, 1.0, 1e-3]), labels


def test_it_is_the_minimum_that_scipy_finds():
    (x, y), (test, truth) = clouds(300, 0, 2.0), clouds(300, 1, 2.0)
    mean, std = x.double().mean(0), x.double().std(0, correction=0)
    scaled, scaled_test = (((part.double() - mean) / std).numpy() for part in (x, test))

    def logits(flat, features):
        return features @ flat[:12].reshape(3, 4).T + flat[12:]

    def loss(flat):
        z = logits(flat, scaled)
        return np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(300), y.numpy()]) + 0.05 * np.square(flat[:12]).sum()

    best = minimize(loss, np.zeros(15), method="BFGS").x
    theirs = (logits(best, scaled_test).argmax(1) == truth.numpy()).mean()
    assert 0.5 < theirs < 0.95
    assert linear_probe(x, y, test, truth, weight_decay=0.1) == pytest.approx(theirs)


def test_classes_far_apart_are_all_found_and_noise_by_chance():
    assert linear_probe(*clouds(90, 0, 30.0), *clouds(90, 1, 30.0)) == 1
    x, y = torch.randn(3000, 4, generator=torch.Generator().manual_seed(0)), torch.arange(3000) % 3
    assert linear_probe(x[:1500], y[:1500], x[1500:], y[1500:]) == pytest.approx(1 / 3, abs=0.05)


def test_a_feature_that_never_changes_does_no_harm():
    x, y = clouds(90, 0, 30.0)
    dead = torch.cat([x, torch.ones(90, 1)], 1)
    assert linear_probe(dead, y, dead, y) == 1


def test_a_class_that_only_the_test_has_is_not_found():
    x, y = clouds(90, 0, 30.0)
    assert linear_probe(x[y < 2], y[y < 2], x, y) == pytest.approx(2 / 3)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_it_learns_where_gradients_are_off(off):
    with off():
        assert linear_probe(*clouds(90, 0, 30.0), *clouds(90, 1, 30.0)) == 1


def test_nothing_to_test_on_is_refused():
    x, y = clouds(9, 0, 1.0)
    with pytest.raises(ValueError, match="trains on images and tests on images; got 9 and 0"):
        linear_probe(x, y, x[:0], y[:0])
