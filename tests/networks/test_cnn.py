import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.resnet import BasicBlock

from networks.cnn import Conv, ConvGroup, ResidualBlock, ResNet, WhitenedCNN
from networks.whitening import whitening_filters

SHAPE = [3, 32, 32]


def images(n=6, size=32, channels=3):
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("narrow", "wide", "stride"), [(8, 8, 1), (8, 16, 2), (8, 16, 1)])
def test_a_block_is_torchvisions(narrow, wide, stride):
    torch.manual_seed(0)
    ours = ResidualBlock(narrow, wide, stride).double()
    nn.init.normal_(ours.residual[-1].weight)  # it begins at 1 everywhere
    same = isinstance(ours.shortcut, nn.Identity)
    downsample = None if same else nn.Sequential(nn.Conv2d(narrow, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))
    theirs = BasicBlock(narrow, wide, stride, downsample).double()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = images(4, 9, narrow).double()
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("size", "blocks"), [(32, 1), (28, 2), (15, 1)])
def test_a_resnet_takes_images_of_any_size(size, blocks):
    net = ResNet([3, size, size], 7, [8, 16, 32], blocks).eval()
    x = images(3, size)
    logits = net(x)
    assert logits.shape == (3, 7)
    torch.testing.assert_close(net(x[1:2]), logits[1:2])  # no image sees another


@pytest.mark.parametrize(("size", "before"), [(8, 8), (48, 48), (64, 32), (128, 32), (256, 32)])
def test_a_resnet_makes_large_images_small_before_its_blocks(size, before):
    net, seen = ResNet([3, size, size], 2, [4, 4, 4], 1).eval(), []
    block = next(module for module in net.modules() if isinstance(module, ResidualBlock))
    block.register_forward_hook(lambda module, args, output: seen.append(args[0].shape))
    assert net(torch.randn(2, 3, size, size)).shape == (2, 2)
    assert seen == [(2, 4, before, before)]


@pytest.mark.parametrize("size", [16, 48, 64, 256])
def test_a_whitened_cnn_adapts_to_the_size(size):
    net = WhitenedCNN([1, size, size], 3).eval()
    out = net.groups(torch.zeros(1, 8, size - 1, size - 1))
    assert 1 <= out.shape[-1] < 8


def test_a_resnet_halves_the_resolution_between_stages():
    net = ResNet(SHAPE, 10, [4, 6, 8], 2)
    assert net.blocks(net.first(images(2, 32))).shape == (2, 8, 8, 8)
    assert sum(isinstance(m, ResidualBlock) for m in net.modules()) == 6


def test_the_first_layer_is_whitened_once():
    torch.manual_seed(0)
    net, x = WhitenedCNN(SHAPE, 10, [8, 8, 8]), images(50)
    assert not net.whitened.known
    net.whiten(x)
    assert net.whitened.known
    assert torch.equal(net.first_weight, whitening_filters(x))
    assert net.first_filters() is net.first_weight


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [16, 24, 28, 32])
def test_the_fast_network_takes_images_from_16_pixels(size, depth):
    net = WhitenedCNN([3, size, size], 5, [8, 12, 16], depth).eval()
    x = images(3, size)
    assert net(x).shape == (3, 5)
    torch.testing.assert_close(net(x[1:2]), net(x)[1:2])


def test_what_the_fast_network_learns():
    net = WhitenedCNN(SHAPE, 10, [8, 12, 16], 3)
    learned = {name for name, p in net.named_parameters() if p.requires_grad}
    filters = [p for name, p in net.named_parameters() if "convs" in name]
    assert len(filters) == 9
    assert {p.ndim for p in filters} == {2}
    assert len(learned) == 9 + 9 + 1  # filters, offsets of the norms, the last layer
    assert not any(name.startswith("first") for name in learned)


def test_a_convolution_begins_as_the_identity_and_equals_torchs():
    torch.manual_seed(0)
    conv = Conv(4, 6)
    x = images(2, 7, 4)
    torch.testing.assert_close(conv(x)[:, :4], x)
    nn.init.normal_(conv.weight)
    reference = nn.Conv2d(4, 6, 3, padding=1, bias=False)
    with torch.no_grad():
        reference.weight.copy_(conv.weight.reshape(6, 3, 3, 4).permute(0, 3, 1, 2))
    torch.testing.assert_close(conv(x), reference(x))


def test_three_convolutions_have_a_shortcut_around_the_last_two():
    group = ConvGroup(4, 4, 3).eval()
    for conv in group.convs[1:]:
        nn.init.zeros_(conv.weight)
    x = images(2, 8, 4)
    first = F.gelu(group.norms[0](F.max_pool2d(group.convs[0](x), 2)))
    torch.testing.assert_close(group(x), F.gelu(first))


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_every_convolution_is_used_once(depth):
    """A group by the slow road: each convolution and norm in its order."""
    torch.manual_seed(0)
    group = ConvGroup(4, 6, depth).eval()
    for conv in group.convs:
        nn.init.normal_(conv.weight, std=0.2)
    calls = []
    for number, conv in enumerate(group.convs):
        conv.register_forward_hook(lambda conv, args, output, number=number: calls.append(number))
    x = images(2, 8, 4)
    out = group(x)
    assert calls == list(range(depth))
    expected = first = F.gelu(group.norms[0](F.max_pool2d(group.convs[0](x), 2)))
    for number in range(1, depth):
        inner = group.norms[number](group.convs[number](expected))
        expected = F.gelu(inner + first if number == depth - 1 and depth > 2 else inner)
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: WhitenedCNN(SHAPE, 10, depth=0), "depth=0 must be"),
        (lambda: WhitenedCNN(SHAPE, 10, []), r"widths=\[\] must name"),
        (lambda: WhitenedCNN(SHAPE, 10, [8, 0]), "widths=0 must be"),
        (lambda: WhitenedCNN(SHAPE, 0), "num_classes=0"),
        (lambda: WhitenedCNN(SHAPE, 10, norm_momentum=0.0), r"norm_momentum=0\.0 must be"),
        (lambda: ResNet(SHAPE, 10, blocks=0), "blocks=0"),
        (lambda: ResNet(SHAPE, 10, blocks=-1), "blocks=-1"),
        (lambda: ResNet([0, 32, 32], 10), "shape=0"),
        (lambda: ResNet([32, 32], 10), r"shape=\[32, 32\] must be three numbers"),
        (lambda: WhitenedCNN([3, 32, 15], 10), r"shape=\[3, 32, 15\] is too small for 3 widths: .* at least 16"),
        (lambda: WhitenedCNN([3, 32, 32], 10, [8] * 5), "too small for 5 widths: .* at least 33"),
        (lambda: ResNet(SHAPE, 10, []), r"widths=\[\] must name"),
    ],
)
def test_sizes_that_make_no_network_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
