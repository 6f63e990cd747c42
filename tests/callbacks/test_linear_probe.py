import pytest
import torch

from callbacks.linear_probe import LinearProbe
from lightning_modules.self_supervised import SelfSupervised
from metrics.linear_probe import linear_probe
from tests.callbacks.test_sample_quality import Drawer, Grey
from tests.lightning_modules.every_module import trainer


class Bright(SelfSupervised):
    """Its features are mean colours."""

    def features(self, images):
        assert not self.training
        return images.float().mean((2, 3))


def test_it_logs_the_accuracy_on_held_out_images():
    model, data = Bright(shape=[3, 4, 4]), Grey()
    (metrics,) = trainer(callbacks=[LinearProbe()]).test(model, data, verbose=False)
    sets = [part for one in (data.train_set, data.test_set) for part in (one.images.float().mean((2, 3)), one.labels)]
    assert metrics["test/linear_probe_accuracy"] == pytest.approx(linear_probe(*sets)) == 1


def test_a_module_without_features_is_refused():
    with pytest.raises(ValueError, match=r"LinearProbe asks a module for features.*metrics\.image_features\.Feature"):
        trainer(callbacks=[LinearProbe()]).test(Drawer(), Grey(), verbose=False)


def test_plain_loaders_are_refused():
    loader = torch.utils.data.DataLoader([{"image": torch.zeros(3, 4, 4).byte()}])
    with pytest.raises(ValueError, match="give the trainer a datamodule"):
        trainer(callbacks=[LinearProbe()]).test(Bright(shape=[3, 4, 4]), loader, verbose=False)


def test_a_test_goes_on_as_if_nothing_had_been_measured():
    states = []
    for callbacks in ([], [LinearProbe()]):
        torch.manual_seed(0)
        model = Bright(shape=[3, 4, 4])
        trainer(callbacks=callbacks).test(model, Grey(), verbose=False)
        states.append(torch.get_rng_state())
        assert model.training
    assert torch.equal(*states)
