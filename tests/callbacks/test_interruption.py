import os
import signal

import lightning as L
import pytest
import torch
from torch import nn

from callbacks.interruption import Interruption
from callbacks.last_checkpoint import LastCheckpoint
from callbacks.random_state import RandomState
from datamodules.resumable_loader import ResumableLoader

BATCHES = 5  # an epoch


class Noisy(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch + torch.randn_like(batch)).square().mean()

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.layer(batch).square().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.1)


class Tell(L.Callback):
    """Sends this process signals in a given batch, or in the validation after it."""

    def __init__(self, step: int, *numbers: signal.Signals, validating: bool = False):
        self.step, self.numbers, self.validating = step, numbers, validating

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.global_step == self.step - 1 and not self.validating:
            self.send()

    def on_validation_start(self, trainer, module):
        if trainer.global_step == self.step and self.validating:
            self.send()

    def send(self):
        for number in self.numbers:
            os.kill(os.getpid(), number)


def run(folder, *callbacks, resume=None, epochs=3):
    L.seed_everything(0 if resume is None else 1, verbose=False)
    rows = torch.arange(3.0 * 4 * BATCHES).reshape(-1, 3) / 50
    module, quiet = Noisy(), {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    callbacks = [*callbacks, RandomState(), LastCheckpoint(), Interruption()]
    trainer = L.Trainer(accelerator="cpu", default_root_dir=folder, callbacks=callbacks, max_epochs=epochs, **quiet)
    trainer.fit(
        module,
        ResumableLoader(rows, batch_size=4, shuffle=True),
        ResumableLoader(rows, batch_size=4),
        ckpt_path=resume,
        weights_only=True,
    )
    return module


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("step", "validating", "stops"),
    [(1, False, 1), (3, False, 3), (BATCHES, False, BATCHES), (BATCHES, True, BATCHES), (BATCHES + 2, False, 7)],
)
def test_saves_says_how_to_go_on_and_the_resumed_run_equals_an_undisturbed_one(
    number, step, validating, stops, tmp_path, capsys
):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    undisturbed = run(tmp_path / "undisturbed")
    with pytest.raises(SystemExit) as exit_:
        run(tmp_path / "told", Tell(step, number, validating=validating))
    assert exit_.value.code == 128 + number
    (path,) = (tmp_path / "told").rglob("last.ckpt")
    said = capsys.readouterr().err
    assert f"stopped after step {stops}; go on with: python train.py fit --config" in said
    assert f"--ckpt_path {path}" in said
    assert torch.load(path, weights_only=True)["global_step"] == stops
    resumed = run(tmp_path / "resumed", resume=path)
    for ours, theirs in zip(resumed.parameters(), undisturbed.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_second_signal_stops_at_once_and_saves_nothing(tmp_path):
    with pytest.raises(SystemExit):
        run(tmp_path, Tell(3, signal.SIGINT, signal.SIGINT))
    assert not list(tmp_path.rglob("last.ckpt"))


def test_a_run_that_nobody_stops_ends_as_usual(tmp_path):
    run(tmp_path, epochs=1)
    assert list(tmp_path.rglob("last.ckpt"))
