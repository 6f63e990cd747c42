import pytest
import torch

from networks.unet2d import UNet2D


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = UNet2D((2, 8, 12), num_classes=3, widths=(64, 128), blocks=1, attention=1)
    for parameter in network.parameters():  # what begins at zero would hide what it depends on
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.fixture
def inputs():
    x = torch.randn(3, 2, 8, 12, generator=torch.Generator().manual_seed(1))
    return x, torch.tensor([0, 500, 999]), torch.tensor([0, 3, 2])


def test_gives_the_shape_it_takes(network, inputs):
    assert network(*inputs).shape == (3, 2, 8, 12)


@pytest.mark.parametrize(("shape", "widths", "attention"), [((1, 28, 28), (64, 64), 2), ((3, 32, 32), (64, 64, 64), 0)])
def test_begins_by_predicting_zero(shape, widths, attention):
    network = UNet2D(shape, 10, widths, 1, attention)
    assert not network(torch.randn(2, *shape), torch.tensor([3, 5]), torch.tensor([0, 10])).any()


def test_every_input_counts(network, inputs):
    x, t, labels = inputs
    output = network(x, t, labels)
    assert not torch.allclose(network(x, t + 1, labels)[0], output[0], atol=1e-4)
    assert not torch.allclose(network(x, t, (labels + 1) % 4), output, atol=1e-4)


def test_no_image_depends_on_another(network, inputs):
    x, t, labels = inputs
    x = x.requires_grad_()
    network(x, t, labels)[1].sum().backward()
    assert x.grad[1].any()
    assert not x.grad[0].any()
    assert not x.grad[2].any()


def test_every_pixel_sees_every_other(network, inputs):
    x, t, labels = inputs
    x = x.requires_grad_()
    network(x, t, labels)[0, 0, 0, 0].backward()
    assert (x.grad[0] != 0).all()


def test_every_parameter_learns(network, inputs):
    network(*inputs).square().mean().backward()
    for name, parameter in network.named_parameters():
        if name != "embed_class.weight":
            assert parameter.grad.any(), name
    assert network.embed_class.weight.grad.any(1).tolist() == [True, False, True, True]


def test_classes_begin_alike():
    """A class changes little of what the step says, until it is learned what it means."""
    network = UNet2D(num_classes=10, widths=(64,))
    assert network.embed_class.weight.std() < 0.12


def test_the_numbers_do_not_depend_on_the_memory_format(network, inputs):
    x, t, labels = inputs
    plain = network.to(memory_format=torch.contiguous_format)(x, t, labels)
    torch.testing.assert_close(network.to(memory_format=torch.channels_last)(x, t, labels), plain)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": (1, 28, 28), "widths": (64, 64, 64)}, ["28 x 28", "8", "fewer widths"]),
        ({"widths": (48, 64)}, ["(48, 64)", "64"]),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  its words are checked below
        UNet2D(**options)
    assert all(word in str(caught.value) for word in words), caught.value
