"""Ctrl-C and SIGTERM: save what there is to save, say how to go on, leave."""

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from callbacks.resume.last_checkpoint import LastCheckpoint, step_is_whole
from checkpoints.runs import CONFIG

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], Any] | int | None  # as `signal.getsignal` gives it


class Stop(L.Callback):
    """A run that is told to stop does so at once, and exits with 128 plus the signal's number.

    Lightning itself ignores SIGTERM during a prediction, and from a test's last batch on. Handlers are set in the main
    thread alone; the earlier ones are restored when the run is over.
    """

    def __init__(self):
        self._signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Handler] = {}

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self._signal = None
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in SIGNALS}

    def _listen(self, trainer: L.Trainer) -> None:
        def note(number: int, frame: object) -> None:
            launcher: Any = trainer.strategy.launcher
            if number == signal.SIGTERM and hasattr(launcher, "kill"):  # Ctrl-C reaches all processes by itself
                launcher.kill(number)
            self._told(trainer, signal.Signals(number))

        for number in self._before:
            signal.signal(number, note)

    # Lightning sets handlers of its own after `setup`, before it calls these.
    def on_sanity_check_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._listen(trainer)

    def on_validation_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.training:
            self._listen(trainer)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._listen(trainer)

    def on_test_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._listen(trainer)

    def on_predict_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._listen(trainer)

    def _told(self, trainer: L.Trainer, number: signal.Signals) -> None:
        self._signal = number
        self._say(trainer, f"{number.name}: stopped")
        raise SIGTERMException(128 + number)

    def _say(self, trainer: L.Trainer, message: str) -> None:
        if trainer.is_global_zero:
            print(message, file=sys.stderr)

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        self._restore()

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            if handler is not None:  # None: it was not set from Python
                signal.signal(number, handler)
        self._before = {}


class GracefulShutdown(Stop, Checkpoint):
    """A training run that is told to stop finishes its batch and writes `last.ckpt`.

    It exits with 128 plus the signal's number. At Ctrl-C Lightning stops in the middle of whatever it is doing; only
    once a batch is validated and logged can a resumed run go on as if nothing had happened. A stop in the last batch of
    an epoch, or in the validation after it, waits until that epoch is done. A second signal stops at once and saves
    nothing; so does the first where nothing is trained.

    Several processes ask each other after each batch, so that all stop after the same one. They do so from CPU to CPU
    (gloo): the answer does not wait for what accelerators compute.

    It is a `Checkpoint` because Lightning calls those last: at the end of an epoch the best checkpoint comes first.
    """

    def __init__(self):
        super().__init__()
        self._training = self._saved = False
        self._processes: Any = None  # a group of torch.distributed

    def _told(self, trainer: L.Trainer, number: signal.Signals) -> None:
        if self._signal is not None or not self._training:
            self._training = False  # nothing will be saved
            super()._told(trainer, number)
        self._signal = number
        self._say(trainer, f"{number.name}: will save and stop after this batch; once more stops at once")

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        super().on_train_start(trainer, module)
        self._training, self._saved = True, False
        several = dist.is_available() and dist.is_initialized()
        self._processes = dist.new_group(backend="gloo") if several else None
        if several:
            # Lightning's own question, before each batch, would wait for the device; ours is asked after each.
            trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._training = False

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if step_is_whole(trainer):  # no checkpoint holds gradients
            self._tell_lightning(trainer)

    def on_validation_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        super().on_validation_start(trainer, module)
        if self._training:
            trainer._signal_connector.received_sigterm = False  # else it would be raised between validation batches

    # At the end of a validation or an epoch, Lightning resumes correctly from what its last hook saved, not from later.
    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self._training and step_is_whole(trainer) and not trainer.is_last_batch:
            self.on_train_epoch_end(trainer, module)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._tell_lightning(trainer)  # the signal may have come in the validation
        if trainer.received_sigterm:
            self._save(trainer)

    def _tell_lightning(self, trainer: L.Trainer) -> None:
        """Once the batch or the epoch is logged, Lightning raises SIGTERMException in all processes."""
        told = self._signal is not None
        if self._processes is not None:
            answer = torch.tensor(int(told))
            dist.all_reduce(answer, dist.ReduceOp.MAX, self._processes)
            told = bool(answer)
        if told:
            trainer._signal_connector.received_sigterm = True

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        if isinstance(exception, SIGTERMException) and self._training:
            if not self._saved:
                self._save(trainer)
            config = self._path(trainer).parent.parent / CONFIG
            self._say(
                trainer,
                f"stopped after step {trainer.global_step}; go on with: "
                f"python train.py fit --config {config} --ckpt_path {self._path(trainer)}",
            )
            exception.code = 128 + (self._signal or signal.SIGTERM)
        self._training = False
        super().on_exception(trainer, module, exception)

    def _save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self._path(trainer))
        self._saved = True

    def _path(self, trainer: L.Trainer) -> Path:
        (last,) = (callback for callback in trainer.checkpoint_callbacks if isinstance(callback, LastCheckpoint))
        assert last.dirpath is not None  # it has been set up
        return Path(last.dirpath) / f"{last.filename}{last.FILE_EXTENSION}"
