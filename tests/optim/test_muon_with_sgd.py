import copy

import pytest
import torch
from torch import nn, optim

from networks.cnn import ResNet
from optim.muon_with_sgd import MuonWithSGD
from optim.parameter_groups import no_decay_on_vectors


class Small(nn.Module):
    """A matrix, a kernel, a scale and biases, and a head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(2, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.linear(self.norm(self.conv(x)).amax((2, 3))).tanh())


def step(net, optimizer, number):
    x = torch.randn(8, 2, 5, 5, generator=torch.Generator().manual_seed(number))
    optimizer.zero_grad()
    net(x).square().mean().backward()
    optimizer.step()


def names(net, group):
    return [name for name, p in net.named_parameters() if any(p is other for other in group["params"])]


def test_who_trains_what():
    net = Small()
    optimizer = MuonWithSGD(no_decay_on_vectors(net), 0.1, bias_lr=2.0, head_lr=0.5, weight_decay=0.01)
    muon, biases, others = optimizer.param_groups
    assert names(net, muon) == ["conv.weight", "linear.weight"]
    assert names(net, biases) == ["conv.bias", "norm.bias", "linear.bias"]
    assert names(net, others) == ["norm.weight", "head.weight", "head.bias"]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 2.0, 0.5]
    assert [group["lr"] * group["weight_decay"] for group in (biases, others)] == pytest.approx([0.01, 0.01])
    assert muon["weight_decay"] == 0


def test_the_last_layer_may_have_another_name():
    net = Small()
    optimizer = MuonWithSGD(no_decay_on_vectors(net), head=["linear"])
    assert names(net, optimizer.param_groups[0]) == ["conv.weight", "head.weight"]


def test_a_step_is_that_of_torchs_optimizers_after_filters_got_unit_length():
    """Kernels as matrices by hand, each optimizer on its own."""
    net = Small()
    by_hand = copy.deepcopy(net)
    optimizer = MuonWithSGD(no_decay_on_vectors(net), 0.1, bias_lr=2.0, head_lr=0.5, weight_decay=0.01)
    matrices = [nn.Parameter(by_hand.conv.weight.detach().flatten(1).clone()), by_hand.linear.weight]
    biases = [by_hand.conv.bias, by_hand.norm.bias, by_hand.linear.bias]
    others = [by_hand.norm.weight, by_hand.head.weight, by_hand.head.bias]
    muon = optim.Muon(matrices, 0.1, weight_decay=0.0, momentum=0.6, ns_steps=3)
    sgd = optim.SGD([{"params": biases, "lr": 2.0, "weight_decay": 0.005}], momentum=0.85, nesterov=True)
    rest = optim.SGD(others, 0.5, weight_decay=0.02, momentum=0.85, nesterov=True)
    for number in range(4):
        step(net, optimizer, number)
        by_hand.zero_grad()
        x = torch.randn(8, 2, 5, 5, generator=torch.Generator().manual_seed(number))
        by_hand(x).square().mean().backward()
        matrices[0].grad = by_hand.conv.weight.grad.flatten(1)
        with torch.no_grad():
            for matrix in matrices:
                matrix /= matrix.square().sum(1).mean().sqrt()
        for one in (muon, sgd, rest):
            one.step()
        by_hand.conv.weight.data = matrices[0].detach().view(4, 2, 3, 3)
        for (name, found), expected in zip(net.named_parameters(), by_hand.parameters(), strict=True):
            torch.testing.assert_close(found, expected, msg=name)


def test_shapes_and_gradients_are_left_as_they_were():
    net = Small()
    shapes = [p.shape for p in net.parameters()]
    step(net, MuonWithSGD(no_decay_on_vectors(net)), 0)
    assert [p.shape for p in net.parameters()] == shapes
    assert [p.grad.shape for p in net.parameters()] == shapes


def test_takes_networks_in_channels_last():
    net = Small()
    other = copy.deepcopy(net).to(memory_format=torch.channels_last)
    for one in (net, other):
        optimizer = MuonWithSGD(no_decay_on_vectors(one))
        for number in range(3):
            step(one, optimizer, number)
    torch.testing.assert_close(list(net.parameters()), list(other.parameters()))


def test_resumes_exactly():
    whole = Small()
    optimizer = MuonWithSGD(no_decay_on_vectors(whole))
    for number in range(3):
        step(whole, optimizer, number)
    kept, weights = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(whole.state_dict())
    resumed = Small()
    resumed.load_state_dict(weights)
    again = MuonWithSGD(no_decay_on_vectors(resumed))
    again.load_state_dict(kept)
    for number in range(3, 6):
        step(whole, optimizer, number)
        step(resumed, again, number)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_a_closure_comes_before_the_filters_are_brought_to_length():
    """The gradient is that of the weights as they are."""
    net = Small()
    before, seen = net.conv.weight.detach().clone(), []

    def closure():
        seen.append(net.conv.weight.detach().clone())
        net.zero_grad()
        loss = net(torch.ones(2, 2, 5, 5)).square().mean()
        loss.backward()
        return loss

    loss = MuonWithSGD(no_decay_on_vectors(net)).step(closure)
    assert loss.requires_grad
    assert len(seen) == 1
    assert torch.equal(seen[0], before)


@pytest.mark.parametrize("make", [lambda: nn.Linear(3, 2, bias=False), lambda: nn.BatchNorm1d(3)])
def test_a_part_without_parameters_is_left_out(make):
    assert len(MuonWithSGD(no_decay_on_vectors(make())).optimizers) == 1


def test_a_residual_network_learns_a_batch_by_heart():
    torch.manual_seed(0)
    net = ResNet([3, 16, 16], 3, [8, 8], 1)
    optimizer = MuonWithSGD(no_decay_on_vectors(net), 0.05, bias_lr=0.1, head_lr=0.05)
    x, y = torch.randn(12, 3, 16, 16), torch.arange(12) % 3
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
    assert loss < 0.1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": -0.1}, r"lr=-0\.1"),
        ({"bias_lr": 0.0}, r"bias_lr=0\.0 must be"),
        ({"head_lr": 0.0}, r"head_lr=0\.0 must be"),
        ({"momentum": 1.0}, r"momentum=1\.0"),
        ({"sgd_momentum": 0.0}, r"sgd_momentum=0\.0"),
        ({"ns_steps": 0}, "ns_steps=0"),
        ({"params": [{"params": [torch.zeros(2)]}]}, "takes groups of named parameters"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        MuonWithSGD(**{"params": no_decay_on_vectors(Small())} | options)
