"""What it learns, from what, and what it leaves; see also test_every_module.py."""

from functools import partial

import pytest
import torch
from torch import nn

from adversarial.diff_augment import Brightness, Contrast, Crop
from checkpoints.pretrained import inference_weights
from lightning_modules.self_supervised import SelfSupervised
from metrics.linear_probe import linear_probe
from networks.cnn import ResNet
from networks.image_range import from_pixels
from networks.nt_xent import NTXent
from tests.lightning_modules.every_module import Images, trainer

TINY = {"shape": [3, 16, 16], "network": partial(ResNet, widths=[8], blocks=1), "hidden": 6, "dim": 4}


def made(**options):
    torch.manual_seed(0)
    return SelfSupervised(**TINY | options)


class Stripes(Images):
    """Stripes that stand or lie, anywhere and in any colours: classes that no mean colour tells."""

    def __init__(self, seed=0):
        super().__init__(seed)
        generator = torch.Generator().manual_seed(seed)
        count, place = 240, torch.arange(16)
        labels = torch.arange(count) % 2
        phase = 4 * torch.rand(count, 1, 1, generator=generator)
        along = torch.where(labels[:, None, None] == 0, place[:, None], place[None, :])
        wave = ((along + phase) * torch.pi / 2).sin()[:, None]  # (N, 1, H, W)
        colours = torch.randint(40, 100, (count, 3, 1, 1), generator=generator)
        self.train_set.images, self.train_set.labels = (128 + wave * colours).byte(), labels
        self.hparams.batch_size = 48


def test_the_loss_is_that_of_the_projections_of_two_views():
    model = made(augment=[Brightness()], loss=NTXent(0.2))
    model.log = lambda *_, **__: None
    images = Images().train_set.images
    torch.manual_seed(1)
    found = model.training_step({"image": images}, 0)
    torch.manual_seed(1)
    views = [Brightness()(from_pixels(images)) for _ in range(2)]
    assert not torch.equal(*views)
    projected = model.projection(model.network(torch.cat(views)))
    torch.testing.assert_close(found, NTXent(0.2)(projected[:24], projected[24:]))


def test_it_learns_what_its_views_share():
    """Which way stripes run, better than by random weights."""
    torch.manual_seed(0)
    data, other = Stripes(), Stripes(1)
    augment = [Crop(0.5), Brightness(), Contrast()]
    found = []
    for epochs in (0, 12):
        model = made(augment=augment, lr=0.01)
        trainer(max_epochs=epochs, limit_val_batches=0).fit(model, data)
        model.eval()
        with torch.no_grad():
            features = [model.features(part.train_set.images) for part in (data, other)]
        found.append(linear_probe(features[0], data.train_set.labels, features[1], other.train_set.labels, 0.1))
    assert found[1] > found[0] + 0.05
    assert found[1] > 0.9


def test_features_are_what_the_last_layer_reads():
    model, images = made().eval(), Images().train_set.images
    features = model.features(images)
    assert features.shape == (24, 8)
    torch.testing.assert_close(model.network.head(features), model.network(from_pixels(images)))
    assert torch.equal(model(images), features)


def test_classes_are_not_looked_at():
    states = []
    for number in range(2):
        model, data = made(), Images()
        data.train_set.labels = (data.train_set.labels + number) % 3
        trainer(max_steps=3).fit(model, data)
        states.append(model.state_dict())
    assert all(torch.equal(one, other) for one, other in zip(states[0].values(), states[1].values(), strict=True))


def test_what_ships_has_no_projection():
    assert all(name.startswith("network.") for name in inference_weights(made()))


def test_images_of_another_shape_are_refused():
    model = made()
    for images in (torch.zeros(2, 1, 16, 16).byte(), torch.zeros(2, 3, 16, 15).byte()):
        with pytest.raises(ValueError, match=r"shape=\[3, 16, 16\]"):
            model.features(images)


def test_a_network_without_features_is_refused():
    with pytest.raises(ValueError, match=r"^the network Sequential has no features\(\) and head"):
        made(network=lambda shape, hidden: nn.Sequential())
