import pytest
import torch
from torch import nn

from networks.dcgan import Discriminator, Generator


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("shape", "doublings"), [([3, 32, 32], 3), ([1, 8, 8], 1), ([3, 64, 64], 4)])
def test_shapes_and_sizes(shape, doublings):
    generator, discriminator = Generator(shape, latent=10, width=4), Discriminator(shape, width=4)
    assert generator.latent == 10
    images = generator(torch.randn(5, 10))
    assert images.shape == (5, *shape)
    assert images.abs().max() <= 1
    assert discriminator(images).shape == (5,)
    assert sum(isinstance(layer, nn.ConvTranspose2d) for layer in generator.modules()) == doublings + 1
    assert sum(isinstance(layer, nn.Conv2d) for layer in discriminator.modules()) == doublings


def test_the_weights_of_the_paper_s_network_at_32_pixels():
    """Counted by hand: kernels of 4 x 4, 64 channels at half resolution, no biases before batch norm."""
    generator, discriminator = Generator([3, 32, 32], latent=100), Discriminator([3, 32, 32], batch_norm=True)
    kernels = 16 * (100 * 256 + 256 * 128 + 128 * 64 + 64 * 3)
    assert parameters(generator) == kernels + 2 * (256 + 128 + 64) + 3
    assert parameters(discriminator) == 16 * (3 * 64 + 64 * 128 + 128 * 256) + 64 + 2 * (128 + 256) + 256 * 16 + 1
    norms = [layer for layer in discriminator.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert [norm.num_features for norm in norms] == [128, 256]


def test_initial_weights_are_those_of_the_paper():
    torch.manual_seed(0)
    for network in (Generator([3, 32, 32], latent=100), Discriminator([3, 32, 32], batch_norm=True)):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_a_discriminator_without_batch_norm_keeps_the_size_of_its_signal():
    torch.manual_seed(0)
    images = torch.randn(64, 3, 32, 32)
    features = Discriminator([3, 32, 32], width=32).layers(images)
    assert 0.5 < features.square().mean() < 2
    assert Discriminator([3, 32, 32], width=32, batch_norm=False)(images[:1]).shape == (1,)


def test_a_class_changes_the_image_but_less_than_the_latent():
    torch.manual_seed(0)
    generator = Generator([3, 32, 32], num_classes=10, latent=64, width=8).eval()
    latents, classes = torch.randn(2, 64), torch.arange(10)
    one = torch.stack([generator(latents[:1].expand(10, -1), classes), generator(latents[1:].expand(10, -1), classes)])
    of_class, of_latent = (one - one.mean(1, keepdim=True)).std(), (one - one.mean(0)).std()
    assert 0 < of_class < 0.5 * of_latent


def test_the_projection_is_an_inner_product_with_the_features():
    """Miyato & Koyama 2018, Eq. 3, image by image."""
    torch.manual_seed(0)
    network = Discriminator([3, 16, 16], num_classes=3, width=4)
    images, classes = torch.randn(5, 3, 16, 16), torch.tensor([0, 1, 2, 2, 1])
    features = network.layers(images)
    expected = [
        network.classes.weight[k] @ x + network.head.weight[0] @ x + network.head.bias[0]
        for x, k in zip(features, classes, strict=True)
    ]
    torch.testing.assert_close(network(images, classes), torch.stack(expected))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_only_batch_norm_lets_images_see_each_other(batch_norm):
    torch.manual_seed(0)
    network = Discriminator([3, 16, 16], width=4, batch_norm=batch_norm)
    images = torch.randn(4, 3, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(images)[0], images)
    assert (gradient[1:].abs().max() > 0) == batch_norm


@pytest.mark.parametrize(
    ("size", "lowest"), [((28, 28), (7, 7)), ((48, 48), (6, 6)), ((32, 16), (8, 4)), ((8, 8), (4, 4))]
)
def test_sizes_that_halve_to_a_few_pixels(size, lowest):
    generator, discriminator = Generator([3, *size], width=2), Discriminator([3, *size], width=2)
    images = generator(torch.randn(2, 128))
    assert images.shape == (2, 3, *size)
    assert discriminator(images).shape == (2,)
    assert generator.layers[0](torch.randn(1, 128, 1, 1)).shape[2:] == lowest
    assert discriminator.layers[:-1](images).shape[2:] == lowest


def test_channels_stop_at_eight_times_the_width():
    layers = Discriminator([1, 256, 256], width=2).layers
    assert [layer.out_channels for layer in layers if hasattr(layer, "out_channels")] == [2, 4, 8, 16, 16, 16]


@pytest.mark.parametrize(
    ("size", "advice"), [((50, 50), "divisible by 8, .* take 48 x 48"), ((4, 4), "take 8 x 8"), ((36, 33), "32 x 32")]
)
def test_other_sizes_are_refused(size, advice):
    for kind in (Generator, Discriminator):
        with pytest.raises(ValueError, match=f"of {size[0]} x {size[1]} pixels needs .*{advice}"):
            kind([3, *size])
