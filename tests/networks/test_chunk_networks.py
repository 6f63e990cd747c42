import pytest
import torch

from networks.chunk_mlp import ChunkMLP
from networks.chunk_unet import ChunkUNet

NETWORKS = [lambda: ChunkMLP(8, 2, 5, width=32, depth=2, encoder_width=32), lambda: ChunkUNet(8, 2, 5, widths=(8, 16))]


def randomized(build):
    """A network with no weight at zero, so that every path carries something."""
    torch.manual_seed(0)
    network = build()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.mark.parametrize("build", NETWORKS)
def test_shape_and_independence_across_the_batch(build):
    network = randomized(build)
    chunk = torch.randn(3, 8, 2, requires_grad=True)
    condition = torch.randn(3, 5, requires_grad=True)
    output = network(chunk, torch.tensor([0, 5, 99]), network.encode(condition))
    assert output.shape == chunk.shape
    for gradient in torch.autograd.grad(output[1].sum(), [chunk, condition]):
        assert gradient[1].abs().sum() > 0
        assert gradient[[0, 2]].abs().sum() == 0


@pytest.mark.parametrize("build", NETWORKS)
def test_depends_on_the_step(build):
    network = randomized(build)
    chunk, context = torch.randn(1, 8, 2), network.encode(torch.randn(1, 5))
    assert not torch.allclose(network(chunk, torch.tensor([1]), context), network(chunk, torch.tensor([50]), context))


@pytest.mark.parametrize("build", NETWORKS)
def test_learns_one_batch_by_heart(build):
    torch.manual_seed(0)
    network = build()
    chunk, t, condition = torch.randn(4, 8, 2), torch.tensor([0, 30, 60, 90]), torch.randn(4, 5)
    target = torch.randn(4, 8, 2)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(400):
        loss = (network(chunk, t, network.encode(condition)) - target).square().mean()
        if loss.item() < 1e-2:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-2


def test_a_horizon_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"horizon=10 is not divisible by 4 .* use 8 or 12"):
        ChunkUNet(10, 2, 5, widths=(8, 16, 32))
