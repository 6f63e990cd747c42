"""What a resumed run trains with: the options that it is given now, and where it is on its schedule."""

from functools import partial

import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, SequentialLR

from optim.lr_schedule import Constant, WarmupCosine
from tests.lightning_modules.test_optimized_module import Line, fitted


def resumed(path, module, before, callbacks=()):
    """`module` after 8 steps, 4 of which `before` made, with these callbacks."""
    fitted(before, callbacks=callbacks, max_steps=4).save_checkpoint(path / "last.ckpt")
    fitted(module, path / "last.ckpt", max_steps=8)
    return module


def test_a_resumed_run_takes_the_rate_that_is_asked_for_now(tmp_path):
    module = resumed(tmp_path, Line(lr=0.7), Line())
    assert module.rates == pytest.approx([0.7 * WarmupCosine()(step, 8) for step in range(4, 8)])


def test_where_a_run_ended_at_rate_0_a_longer_one_goes_on_along_its_own_schedule(tmp_path):
    """The same arguments; only the number of steps is another."""
    before = Line(lr_schedule=WarmupCosine(0.0))
    module = resumed(tmp_path, Line(lr_schedule=WarmupCosine(0.0)), before)
    assert before.trainer.optimizers[0].param_groups[0]["lr"] == 0
    assert module.rates == pytest.approx([0.1 * WarmupCosine(0.0)(step, 8) for step in range(4, 8)])


def test_another_schedule_is_the_one_that_is_given_now(tmp_path):
    module = resumed(tmp_path, Line(lr_schedule=Constant()), Line(lr_schedule=WarmupCosine()))
    assert module.rates == [0.1] * 4


def test_other_options_are_those_that_are_given_now(tmp_path):
    before = Line(optimizer=partial(torch.optim.AdamW, weight_decay=0.25, betas=(0.5, 0.9)))
    now = Line(optimizer=partial(torch.optim.AdamW, weight_decay=0.125, betas=(0.25, 0.9)))
    module = resumed(tmp_path, now, before)
    assert [group["weight_decay"] for group in module.groups] == [0.125, 0.0]
    assert [group["betas"] for group in module.groups] == [(0.25, 0.9)] * 2
    assert module.trainer.optimizers[0].state[module.weight]["step"] == 8  # what it has learned from stays


def test_options_that_are_given_as_before_stay_what_became_of_them(tmp_path):
    """A callback has changed the weight decay of the run that wrote the checkpoint, and it is asked for another lr."""

    def change(trainer, *_):
        trainer.optimizers[0].param_groups[0]["weight_decay"] = 0.5

    decays = partial(torch.optim.AdamW, weight_decay=0.25)
    changed = [LambdaCallback(on_train_batch_end=change)]
    module = resumed(tmp_path, Line(lr=0.7, optimizer=decays), Line(optimizer=decays), changed)
    assert module.groups[0]["weight_decay"] == 0.5
    assert module.rates[0] == pytest.approx(0.7 * WarmupCosine()(4, 8))


SCHEDULERS = {
    "cosine": partial(CosineAnnealingLR, T_max=9),
    "one cycle": partial(OneCycleLR, max_lr=0.3, total_steps=9),  # changes the momentum, too
    "in sequence": lambda optimizer: SequentialLR(
        optimizer, [CosineAnnealingLR(optimizer, 5), CosineAnnealingLR(optimizer, 4)], [5]
    ),
    "ours": WarmupCosine(),
}


@pytest.mark.parametrize("schedule", SCHEDULERS.values(), ids=SCHEDULERS)
def test_eight_steps_are_four_and_four_more(schedule, tmp_path):
    def line():
        return Line(optimizer=partial(torch.optim.SGD, momentum=0.9, weight_decay=0.1), lr_schedule=schedule)

    whole = line()

    def save(trainer, *_):
        if trainer.global_step == 4:
            trainer.save_checkpoint(tmp_path / "half.ckpt")

    fitted(whole, callbacks=[LambdaCallback(on_train_batch_end=save)], max_steps=8)
    module = line()
    fitted(module, tmp_path / "half.ckpt", max_steps=8)
    assert module.rates == whole.rates[4:]
    assert module.groups == whole.groups
    assert torch.equal(module.weight, whole.weight)
    assert torch.equal(module.bias, whole.bias)


def test_a_rate_that_a_scheduler_of_torch_has_changed_is_changed_by_the_same_factor(tmp_path):
    whole = Line(lr_schedule=partial(CosineAnnealingLR, T_max=8))
    fitted(whole, max_steps=8)
    schedule = partial(CosineAnnealingLR, T_max=8)
    module = resumed(tmp_path, Line(lr=0.7, lr_schedule=schedule), Line(lr_schedule=schedule))
    assert module.rates == pytest.approx([7 * rate for rate in whole.rates[4:]])


class Unscheduled(Line):
    def configure_optimizers(self):
        return {"optimizer": torch.optim.SGD(self.parameters(), self.hparams.lr)}


class Plain(Line):
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.hparams.lr)


def test_without_a_schedule_the_rate_is_an_option_like_others(tmp_path):
    assert resumed(tmp_path, Unscheduled(lr=0.7), Unscheduled()).rates == [0.7] * 4
    assert resumed(tmp_path, Unscheduled(), Unscheduled()).rates == [0.1] * 4


def test_optimizers_that_come_alone_are_left_to_lightning(tmp_path):
    assert resumed(tmp_path, Plain(lr=0.7), Plain()).rates == [0.1] * 4


def test_a_checkpoint_of_before_that_names_no_options(tmp_path):
    fitted(Line(), max_steps=4).save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved.pop("optimizer_options")["0.0.momentum"] == 0
    torch.save(saved, tmp_path / "last.ckpt")
    module = Line(lr=0.7, optimizer=partial(torch.optim.SGD, momentum=0.5))
    fitted(module, tmp_path / "last.ckpt", max_steps=8)
    assert module.groups[0]["momentum"] == 0.5
    assert module.rates[0] == pytest.approx(0.7 * WarmupCosine()(4, 8))
