import os
import signal
import threading

import lightning as L
import pytest
import torch
from torch import nn

from callbacks.resume.graceful_shutdown import GracefulShutdown, Stop
from callbacks.resume.last_checkpoint import LastCheckpoint
from callbacks.resume.random_state import RandomState
from datamodules.stateful_loader import StatefulLoader

BATCHES = 5  # an epoch


class Noisy(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch + torch.randn_like(batch)).square().mean()

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.layer(batch).square().mean())

    def test_step(self, batch, batch_idx):
        return None

    def predict_step(self, batch, batch_idx):
        return batch

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


def run(folder, *callbacks, resume=None, epochs=3, saving=True):
    L.seed_everything(0 if resume is None else 1, verbose=False)
    rows = torch.arange(3.0 * 4 * BATCHES).reshape(-1, 3) / 50
    module, quiet = Noisy(), {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    callbacks = [*callbacks, RandomState(), *([LastCheckpoint(), GracefulShutdown()] if saving else [])]
    quiet["enable_checkpointing"] = saving
    trainer = L.Trainer(accelerator="cpu", default_root_dir=folder, callbacks=callbacks, max_epochs=epochs, **quiet)
    trainer.fit(
        module,
        StatefulLoader(rows, batch_size=4, shuffle=True),
        StatefulLoader(rows, batch_size=4),
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


class TellAnother(L.Callback):
    """Sends a signal to this process where nothing is trained: in the second of many batches, or after the last."""

    def __init__(self, number: signal.Signals, hook: str):
        self.number, self.batches = number, 0
        setattr(self, hook, self.tell)

    def tell(self, trainer, module, *batch):
        self.batches += 1
        if not batch or self.batches == 2:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("kind", [Stop, GracefulShutdown])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("command", "hook"),
    [
        ("validate", "on_validation_batch_end"),
        ("validate", "on_validation_epoch_end"),
        ("test", "on_test_batch_end"),
        ("test", "on_test_epoch_end"),
        ("predict", "on_predict_batch_end"),
    ],
)
def test_what_does_not_train_stops_at_once(command, hook, number, kind, tmp_path, capsys):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    teller, rows = TellAnother(number, hook), torch.zeros(8, 3)
    trainer = L.Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        callbacks=[teller, kind()],
        logger=False,
        enable_progress_bar=False,
    )
    with pytest.raises(SystemExit) as exit_:
        getattr(trainer, command)(Noisy(), torch.utils.data.DataLoader(rows))
    assert exit_.value.code == 128 + number
    assert teller.batches == (2 if "batch" in hook else 1)
    assert f"{number.name}: stopped" in capsys.readouterr().err
    assert {number: signal.getsignal(number) for number in before} == before


def test_training_without_checkpoints_stops_at_once(tmp_path):
    with pytest.raises(SystemExit) as exit_:
        run(tmp_path, Tell(3, signal.SIGTERM), Stop(), saving=False)
    assert exit_.value.code == 128 + signal.SIGTERM
    assert not list(tmp_path.rglob("*.ckpt"))


def test_training_in_a_thread_leaves_signals_alone(tmp_path):
    """Python lets the main thread alone set handlers."""
    thread = threading.Thread(target=run, args=(tmp_path,), kwargs={"epochs": 1})
    thread.start()
    thread.join()
    assert list(tmp_path.rglob("last.ckpt"))
