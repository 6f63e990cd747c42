import pytest
import torch

from networks.linear import Linear


@pytest.mark.parametrize("rows", [(1, 1), (1,), (3, 1), (2, 5), (64,), (65,)])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_torch_in_every_type(rows, bias):
    torch.manual_seed(0)
    ours, theirs = Linear(24, 40, bias), torch.nn.Linear(24, 40, bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(*rows, 24)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-6, atol=1e-6)
        low = ours.bfloat16()(x.bfloat16())
    exact = theirs.bfloat16().float()(x.bfloat16().float())  # the same rounded weights, added up in float32
    assert low.shape == exact.shape
    assert low.dtype == torch.bfloat16
    assert low.is_contiguous()
    torch.testing.assert_close(low.float(), exact, rtol=2**-8, atol=2**-9)


def test_gradients_flow():
    layer = Linear(4, 3).bfloat16()
    layer(torch.ones(1, 4, dtype=torch.bfloat16)).sum().backward()
    assert torch.equal(layer.weight.grad, torch.ones_like(layer.weight))
