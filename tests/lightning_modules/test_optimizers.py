import itertools

import pytest
import torch
from torch import nn

from lightning_modules.optimizers import decay_matrices, one_cycle, with_one_cycle


def test_the_learning_rate_rises_and_falls():
    rates = [one_cycle(step, 100, 0.2) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 21)
    assert rates[20] == 1
    assert rates[60] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert all(a < b for a, b in itertools.pairwise(rates[:21]))
    assert all(a > b for a, b in itertools.pairwise(rates[20:]))
    assert one_cycle(0, 100, 0.0) == 1


def test_the_learning_rate_can_fall_in_a_straight_line():
    """As `torch.optim.lr_scheduler.PolynomialLR` of power 1 does."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    peer = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=10, power=1.0)
    for step in range(11):
        assert one_cycle(step, 10, 0.0, "linear") == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        peer.step()


def test_only_matrices_and_kernels_decay():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    optimizer = torch.optim.SGD(decay_matrices(network, 0.5), lr=1.0)
    before = [p.clone() for p in network.parameters()]
    for p in network.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.equal(new, old / 2 if new.ndim >= 2 else old)


def test_the_optimizer_follows_the_cycle():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = with_one_cycle(optimizer, 10, 0.3)["lr_scheduler"]["scheduler"]
    for step in range(10):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(2 * one_cycle(step, 10, 0.3))
        optimizer.step()
        schedule.step()
