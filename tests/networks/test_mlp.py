import pytest
import torch

from networks.mlp import MLP


def test_computes_what_is_written_in_every_textbook():
    torch.manual_seed(0)
    network = MLP([1, 3, 4], 5, [7, 6]).double()
    x = torch.randn(4, 1, 3, 4, dtype=torch.float64)
    (w1, b1), (w2, b2), (w3, b3) = ((m.weight, m.bias) for m in network.modules() if isinstance(m, torch.nn.Linear))
    hidden = (x.reshape(4, 12) @ w1.T + b1).clamp(min=0)
    hidden = (hidden @ w2.T + b2).clamp(min=0)
    torch.testing.assert_close(network(x), hidden @ w3.T + b3)
    assert torch.equal(network.first_filters(), w1.reshape(7, 1, 3, 4))


def test_batch_norm_stands_before_the_relu():
    torch.manual_seed(0)
    network = MLP([1, 2, 3], 3, [8], batch_norm=True).double()
    x = torch.randn(32, 6, dtype=torch.float64)
    first, last = (m for m in network.modules() if isinstance(m, torch.nn.Linear))
    sums = x @ first.weight.T
    normal = (sums - sums.mean(0)) / (sums.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(network(x), normal.clamp(min=0) @ last.weight.T + last.bias)
    assert first.bias is None


def test_without_hidden_layers_it_is_linear():
    network = MLP([1, 2, 3], 3, [])
    x, y = torch.randn(2, 5, 6)
    zero = network(torch.zeros(1, 6))
    torch.testing.assert_close(network(x + y) - zero, network(x) + network(y) - 2 * zero)
    assert sum(p.numel() for p in network.parameters()) == 6 * 3 + 3


def test_dropout_is_for_training():
    torch.manual_seed(0)
    network = MLP([1, 2, 3], 3, [64], dropout=0.5)
    x = torch.randn(2, 6)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


@pytest.mark.parametrize("options", [{"hidden": [4, 0]}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_mistakes_are_named(options):
    with pytest.raises(ValueError, match=r"0|1\.0|-0\.1"):
        MLP([1, 2, 3], 3, **options)
