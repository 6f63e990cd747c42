import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from callbacks.weight_averaging import EMAWeightAveraging
from tests.lightning_modules.every_module import trainer
from tests.pretended_device import DEVICE, PretendedDevice


class Walk(L.LightningModule):
    """One weight that grows by 1 a step, and its value in each validation."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.register_buffer("steps", torch.zeros(()))
        self.validated = []

    def training_step(self, batch, batch_idx):
        self.steps += 1
        return -self.weight

    def validation_step(self, batch, batch_idx):
        self.validated.append((self.weight.item(), self.steps.item()))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1.0)


def walked(callback, steps=6, ckpt_path=None):
    module = Walk()
    runner = trainer(max_steps=steps, max_epochs=-1, val_check_interval=1, callbacks=[callback])
    runner.fit(module, DataLoader(range(10)), DataLoader([0]), ckpt_path=ckpt_path, weights_only=True)
    return module, runner


def expected(start, steps=6, decay=0.5):
    average, seen = 0.0, []
    for step in range(steps):
        weight = step + 1.0
        average = weight if step <= start else decay * average + (1 - decay) * weight
        seen.append((average, weight))
    return seen


@pytest.mark.parametrize("start", [0, 3, 100])
def test_until_it_starts_the_average_is_the_weights(start):
    module, _ = walked(EMAWeightAveraging(decay=0.5, update_starting_at_step=start))
    assert module.validated == expected(start)
    assert module.weight.item() == expected(start)[-1][0]


def test_without_a_start_it_is_lightnings():
    ours, _ = walked(EMAWeightAveraging(decay=0.5))
    theirs, _ = walked(L.pytorch.callbacks.EMAWeightAveraging(decay=0.5, use_buffers=False))
    assert ours.validated == theirs.validated


@pytest.mark.parametrize("stop", [2, 5])
def test_resumed_it_is_the_same(stop, tmp_path):
    """Before it starts, and after."""
    callback = EMAWeightAveraging(decay=0.5, update_starting_at_step=3)

    class Save(L.Callback):
        def on_train_batch_end(self, trainer, module, *_):
            if trainer.global_step == stop:
                trainer.save_checkpoint(tmp_path / "last.ckpt")

    first = trainer(max_steps=stop, max_epochs=-1, val_check_interval=1, callbacks=[callback, Save()])
    first.fit(Walk(), DataLoader(range(10)), DataLoader([0]))
    module, _ = walked(EMAWeightAveraging(decay=0.5, update_starting_at_step=3), ckpt_path=tmp_path / "last.ckpt")
    assert module.validated[-(6 - stop) :] == expected(3)[stop:]


def test_the_checkpoint_holds_the_weights_before_the_start(tmp_path):
    callback = EMAWeightAveraging(decay=0.5, update_starting_at_step=100)

    class Save(L.Callback):
        def on_train_batch_end(self, trainer, module, *_):
            trainer.save_checkpoint(tmp_path / f"{trainer.global_step}.ckpt")

    trainer(max_steps=3, max_epochs=-1, callbacks=[callback, Save()]).fit(Walk(), DataLoader(range(10)))
    assert torch.load(tmp_path / "3.ckpt", weights_only=True)["state_dict"]["weight"] == 3


@pytest.mark.parametrize(("given", "where"), [(None, DEVICE), ("cpu", torch.device("cpu"))])
def test_the_average_moves_with_the_module_unless_it_is_told_where_to_be(given, where):
    """It is made before the module moves; weights of another device are copied to it in each update."""
    callback, module = EMAWeightAveraging(device=given, decay=0.5), Walk()
    callback.setup(None, module, "fit")
    with PretendedDevice():
        module.to(DEVICE)
        callback.on_fit_start(None, module)
        for weight in (1.0, 2.0):
            with torch.no_grad():
                module.weight.fill_(weight)
            callback._average.update_parameters(module)
        average = callback._average.module
        assert {tensor.device for tensor in (*average.parameters(), *average.buffers())} == {where}
        assert average.weight.item() == 1.5
