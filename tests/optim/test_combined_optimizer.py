import copy

import pytest
import torch
from torch import nn, optim

from optim.combined_optimizer import CombinedOptimizer


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))


def parts(net):
    matrices = [p for p in net.parameters() if p.ndim == 2]
    vectors = [p for p in net.parameters() if p.ndim == 1]
    return optim.Muon(matrices, lr=0.1), optim.SGD(vectors, lr=0.2, momentum=0.9)


def steps(net, optimizers, number, first=0):
    for step in range(first, first + number):
        x = torch.randn(8, 5, generator=torch.Generator().manual_seed(step))
        net.zero_grad()
        net(x).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()


def same(net, other):
    return all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def test_steps_as_its_parts_do_one_after_the_other():
    alone, together = network(), network()
    steps(alone, parts(alone), 5)
    steps(together, [CombinedOptimizer(*parts(together))], 5)
    assert same(alone, together)


def test_a_scheduler_reaches_every_part():
    net = network()
    muon, sgd = parts(net)
    joined = CombinedOptimizer(muon, sgd)
    schedule = optim.lr_scheduler.LambdaLR(joined, lambda step: 0.5**step)
    steps(net, [joined], 1)
    schedule.step()
    assert muon.param_groups[0]["lr"] == pytest.approx(0.05)
    assert sgd.param_groups[0]["lr"] == pytest.approx(0.1)


def test_resumes_exactly():
    whole = network()
    optimizer = CombinedOptimizer(*parts(whole))
    schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    steps(whole, [optimizer], 3)
    schedule.step()
    kept, weights = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(whole.state_dict())
    steps(whole, [optimizer], 3, first=3)

    resumed = network()
    resumed.load_state_dict(weights)
    optimizer = CombinedOptimizer(*parts(resumed))
    optimizer.load_state_dict(kept)
    steps(resumed, [optimizer], 3, first=3)
    assert same(whole, resumed)
    optimizer.param_groups[0]["lr"] = 0.0  # and what is set now reaches the part that steps
    assert optimizer.optimizers[0].param_groups[0]["lr"] == 0.0


def test_a_closure_is_called_once_with_gradients():
    net = network()
    calls = []

    def closure():
        calls.append(torch.is_grad_enabled())
        net.zero_grad()
        loss = net(torch.ones(1, 5)).sum()
        loss.backward()
        return loss

    loss = CombinedOptimizer(*parts(net)).step(closure)
    assert calls == [True]
    assert loss.requires_grad


def test_parameters_belong_to_one_part():
    net = network()
    with pytest.raises(ValueError, match="more than one parameter group"):
        CombinedOptimizer(optim.SGD(net.parameters(), 0.1), optim.Adam(net.parameters(), 0.1))
