import pytest
import torch
from torch import nn

from networks.mlp import MLP
from optim.progressive_resizing import resized
from optim.selection_via_proxy import SelectionViaProxy


def test_the_losses_are_those_of_the_formula():
    torch.manual_seed(0)
    selection = SelectionViaProxy(MLP, size=4)
    proxy = selection.proxy((3, 4, 4), 5)
    images, labels = torch.randn(6, 3, 8, 8), torch.tensor([0, 1, 2, 3, 4, 0])
    log_p = proxy(resized(images, 4)).log_softmax(1)
    expected = -0.9 * log_p[range(6), labels] - 0.1 * log_p.mean(1)
    torch.testing.assert_close(selection.losses(proxy, images, labels, 0.1), expected)


def test_without_a_size_the_proxy_sees_whole_images():
    seen = []
    proxy = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    proxy.register_forward_pre_hook(lambda network, args: seen.append(args[0]))
    images = torch.randn(2, 3, 4, 4)
    SelectionViaProxy(MLP).losses(proxy, images, torch.tensor([0, 1]))
    assert seen[0] is images


@pytest.mark.parametrize(("share", "expected"), [(0.5, {1, 3}), (0.3, {1, 3}), (1e-9, {3}), (1.0, {0, 1, 2, 3})])
def test_the_hardest_are_chosen(share, expected):
    """A share is rounded up: one image is always left."""
    found = SelectionViaProxy(MLP, share).hardest(torch.tensor([0.5, 2.0, 0.1, 3.0]))
    assert set(found.tolist()) == expected


@pytest.mark.parametrize(("options", "words"), [({"share": 0.0}, r"share=0\.0"), ({"size": 0}, "size=0")])
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        SelectionViaProxy(MLP, **options)
