"""What it learns, from what, and what it leaves; see also test_every_module.py."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from adversarial.diff_augment import Brightness, Contrast, Crop
from checkpoints.pretrained import inference_weights
from lightning_modules.self_supervised import SelfSupervised
from networks.cnn import ResNet
from networks.image_range import from_pixels
from networks.nt_xent import NTXent
from tests.lightning_modules.every_module import Images, trainer

TINY = {"shape": [3, 16, 16], "network": partial(ResNet, widths=[8], blocks=1), "hidden": 6, "dim": 4}


def made(**options):
    torch.manual_seed(0)
    return SelfSupervised(**TINY | options)


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


def test_it_learns_to_find_the_other_view_of_images_it_has_not_seen():
    augment, found = [Crop(0.5), Brightness(), Contrast()], []
    fresh = Images(1)
    for epochs in (0, 10):
        model = made(augment=augment, lr=0.01)
        trainer(max_epochs=epochs).fit(model, Images())
        model.log = lambda *_, **__: None
        torch.manual_seed(2)
        found.append(model.training_step({"image": fresh.train_set.images}, 0).item())
    assert found[0] > math.log(47)  # no better than by chance among 47 other views
    assert found[1] < found[0] - 0.5


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
