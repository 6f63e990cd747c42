import torch
from torch import nn

from optim.parameter_groups import no_decay_on_vectors


def network():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))


def test_only_matrices_and_kernels_decay():
    module = network()
    optimizer = torch.optim.SGD(no_decay_on_vectors(module), lr=1.0, weight_decay=0.5)
    before = [p.clone() for p in module.parameters()]
    for p in module.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for old, new in zip(before, module.parameters(), strict=True):
        assert torch.equal(new, old / 2 if new.ndim >= 2 else old)


def test_every_parameter_that_is_trained_has_its_name_and_its_group():
    module = network()
    module[0].requires_grad_(False)
    groups = no_decay_on_vectors(module)
    named = {name: p for group in groups for name, p in group["params"]}
    assert named.keys() == {"1.weight", "1.bias", "3.weight", "3.bias"}
    assert all(named[name] is p for name, p in module.named_parameters() if p.requires_grad)
    assert no_decay_on_vectors(module[1])[0]["weight_decay"] == 0.0  # no empty group of matrices
    assert no_decay_on_vectors(nn.Flatten()) == []
