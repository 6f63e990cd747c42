"""What a GPU computes in float32 is what the CPU computes, to rounding: losses, gradients, answers, averages."""

import copy

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import WeightAveraging

from callbacks.weight_averaging import EMAWeightAveraging
from diffusion.noise import generators
from lightning_modules.sequence_model import SequenceModel
from tests.gpu.device import DEVICE, ON_A_GPU, difference, drawn_on_the_cpu, exact
from tests.lightning_modules.every_module import KINDS, demonstrations, trainer

pytestmark = ON_A_GPU
EVERY = pytest.mark.parametrize("name", KINDS)
LOSS = 1e-4  # relative
FIRST = 1e-3  # the norm of the gradients' difference, relative to theirs; measured are 1e-6 to 1e-5
LATER = 5e-2  # of the second optimizer: Adam's first step has the gradient's sign, which rounding turns near 0
SAME_LEVEL = 0.99  # share of values of an image that are the same after rounding to whole levels


class FirstStep(L.Callback):
    """Notes the loss that is logged and the gradients at the first step of each optimizer."""

    def __init__(self):
        self.gradients: list[dict[str, torch.Tensor]] = []

    def on_before_optimizer_step(self, trainer, module, optimizer):
        own = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        named = {name: weight.grad for name, weight in module.named_parameters() if id(weight) in own}
        self.gradients.append({name: slope.cpu().clone() for name, slope in named.items() if slope is not None})


def first_step(name: str, accelerator: str) -> tuple[dict[str, float], list[dict[str, torch.Tensor]]]:
    """What the first batch gives: the logged losses, and the gradients of each optimizer."""
    kind, noted = KINDS[name], FirstStep()
    module = kind.made()
    torch.manual_seed(1)
    with exact(), drawn_on_the_cpu():
        fit = trainer(accelerator=accelerator, devices=1, limit_train_batches=1, log_every_n_steps=1, callbacks=[noted])
        fit.fit(module, kind.data(0))
    return {key: value.item() for key, value in fit.callback_metrics.items() if "loss" in key}, noted.gradients


@EVERY
def test_the_first_loss_and_its_gradients(name, record_property):
    (ours, gradients), (theirs, expected) = (first_step(name, accelerator) for accelerator in ("gpu", "cpu"))
    assert ours.keys() == theirs.keys()
    assert theirs
    assert ours == pytest.approx(theirs, rel=LOSS if len(expected) == 1 else LATER)
    assert len(gradients) == len(expected)
    for number, (found, right) in enumerate(zip(gradients, expected, strict=True)):
        relative = difference(found, right)
        record_property(f"gradients_{number}", f"{relative:.1e}")
        assert relative < (FIRST if not number else LATER)


def moved(name: str) -> tuple[L.LightningModule, L.LightningModule, L.LightningDataModule]:
    """A module that has seen data, a copy of it on the GPU, and the data."""
    kind = KINDS[name]
    module, data = kind.made(), kind.data(0)
    trainer(limit_train_batches=1).fit(module, data)
    return module.eval(), copy.deepcopy(module).to(DEVICE).eval(), data


@pytest.mark.parametrize("name", ["gan", "ddpm"])
def test_images(name, record_property):
    """Each with a generator of its own: the same on both devices, and whatever batch it is drawn in."""
    ours, theirs, _ = moved(name)
    labels = torch.arange(6) % 3
    with exact():
        expected = ours.sample(labels, generator=generators(0, range(6)))
        together = theirs.sample(labels.to(DEVICE), generator=generators(0, range(6)))
        parts = [theirs.sample(labels[[i]].to(DEVICE), generator=generators(0, [i])) for i in range(6)]
    assert together.device.type == DEVICE
    for found in (together.cpu(), torch.cat(parts).cpu()):
        apart = (found.int() - expected.int()).abs()
        record_property("levels_apart", f"{apart.max().item()} at most, {(apart > 0).float().mean().item():.1e} apart")
        assert apart.max() <= 1
        assert (apart == 0).float().mean() >= SAME_LEVEL


def test_actions(record_property):
    ours, theirs, _ = moved("policy")
    (observation,) = (demonstrations().rows[0]["observation"],)
    observations = observation.repeat(5, 1, 1)
    with exact():
        expected = ours.act(observations, generators(0, range(5)))
        together = theirs.act(observations.to(DEVICE), generators(0, range(5)))
        parts = [theirs.act(observations[[i]].to(DEVICE), generators(0, [i])) for i in range(5)]
    record_property("pixels_apart", f"{(together.cpu() - expected).abs().max().item():.1e}")
    assert torch.allclose(together.cpu(), expected, rtol=0, atol=0.01)  # of 512 pixels
    assert torch.allclose(torch.cat(parts).cpu(), expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if issubclass(kind.build, SequenceModel)])
def test_answers_of_sequence_models(name):
    ours, theirs, data = moved(name)
    batch = next(iter(data.train_dataloader()))
    given = batch["source"], batch["source_mask"]
    with exact():
        expected = ours.generate(*given, max_new_tokens=4)
        found = theirs.generate(*(tensor.to(DEVICE) for tensor in given), max_new_tokens=4)
    assert torch.equal(found.cpu(), expected)


@pytest.mark.parametrize("name", ["mlp", "cnn", "fast_cnn"])
def test_classes(name):
    ours, theirs, data = moved(name)
    images = next(iter(data.val_dataloader()))["image"]
    with exact(), torch.no_grad():
        expected, found = ours(images), theirs(images.to(DEVICE)).cpu()
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)


class Average(L.Callback):
    """Keeps the average of the weights as the formula has it."""

    def __init__(self, decay: float):
        self.decay, self.weights, self.device = decay, None, None

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if self.weights is None:
            self.weights = {name: weight.detach().cpu().clone() for name, weight in module.named_parameters()}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        first = trainer.global_step == 1  # the average begins as a copy of the weights
        for name, weight in module.named_parameters():
            share = 1.0 if first else 1 - self.decay
            self.weights[name] = torch.lerp(self.weights[name], weight.detach().cpu(), share)
        (averaging,) = (one for one in trainer.callbacks if isinstance(one, WeightAveraging))
        self.device = {weight.device.type for weight in averaging._average_model.parameters()}


@pytest.mark.parametrize("name", ["ddpm", "policy"])
def test_averaged_weights_stay_on_the_device(name, record_property):
    kind, expected = KINDS[name], Average(0.9)
    module = kind.made()
    averaging = EMAWeightAveraging(decay=0.9)
    fit = trainer(accelerator="gpu", devices=1, max_epochs=2, callbacks=[averaging, expected])
    fit.fit(module, kind.data(0))
    assert expected.device == {DEVICE}, "each step copies all weights"
    relative = difference(dict(module.named_parameters()), expected.weights)
    record_property("averages", f"{relative:.1e}")
    assert relative < 1e-5


@EVERY
def test_bfloat16(name):
    """Two epochs: all is finite."""
    kind = KINDS[name]
    module = kind.made()
    fit = trainer(accelerator="gpu", devices=1, precision="bf16-mixed", max_epochs=2, log_every_n_steps=1)
    fit.fit(module, kind.data(0))
    assert all(torch.isfinite(weight).all() for weight in module.parameters())
    assert all(torch.isfinite(value).all() for value in fit.callback_metrics.values())
