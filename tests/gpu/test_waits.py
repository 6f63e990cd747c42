"""Between log points no training step waits for the GPU."""

import contextlib
import traceback
import warnings
from pathlib import Path

import lightning as L
import pytest
import torch

import train
from tests.gpu.device import DEVICE, FLAGS, ON_A_GPU
from tests.runs import words_of

pytestmark = ON_A_GPU
SIX = ("mnist_mlp", "cifar10_fast", "sorting_encoder_decoder", "svhn_gan", "mnist_ddpm", "pusht")
WATCHED = (2, 5)  # batches, from the first one on to before the second one; logs are written at none of them


class SyncWatch(L.Callback):
    """Notes where a training step waits for the GPU, from one batch on to before another one.

    Writes a line for each place: the innermost lines of this project, of Lightning or of torch that led there.
    """

    def __init__(self, out: str):
        self.out, self.places, self._stack = out, [], contextlib.ExitStack()

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        first, last = WATCHED
        if batch_idx == first:
            self._stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("always")
            warnings.showwarning = self._note
            torch.set_warn_always(True)
            torch.cuda.set_sync_debug_mode("warn")
        elif batch_idx == last:
            torch.cuda.set_sync_debug_mode("default")
            torch.set_warn_always(False)
            self._stack.close()
            Path(self.out).write_text("\n".join(self.places))

    def _note(self, message, category, filename, lineno, file=None, line=None):
        if "called a synchronizing" in str(message):  # torch also warns that this watch is a prototype
            stack = [frame for frame in traceback.extract_stack()[:-1] if not frame.filename.endswith("warnings.py")]
            frames = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in stack]
            self.places.append(" < ".join(reversed(frames[-6:])))


@pytest.mark.parametrize("bar", ["false", "true"], ids=["alone", "with a progress bar"])
@pytest.mark.parametrize("config", SIX)
def test_no_step_waits_for_the_gpu(config, bar, tmp_path, record_property):
    """Between log points: three steps with all that the config's callbacks and the command line's own do."""
    out = tmp_path / "places.txt"
    given = ["--trainer.limit_train_batches", "6", "--trainer.max_epochs", "1", "--trainer.log_every_n_steps", "50"]
    watch = ["--trainer.callbacks+=tests.gpu.test_waits.SyncWatch", f"--trainer.callbacks.out={out}"]
    with contextlib.chdir(tmp_path):
        train.main(words_of(config, *FLAGS, *given, *watch, "--trainer.enable_progress_bar", bar))
    places = sorted(set(out.read_text().splitlines()))
    record_property("waits", str(places))
    assert not places, "\n".join(places)


def test_the_watch_sees_a_wait(tmp_path):
    """`.item()` of a tensor on the GPU is one."""
    watch = SyncWatch(str(tmp_path / "places.txt"))
    number = torch.ones(1, device=DEVICE)
    watch.on_train_batch_start(None, None, None, WATCHED[0])
    number.item()
    watch.on_train_batch_start(None, None, None, WATCHED[1])
    assert "test_the_watch_sees_a_wait" in (tmp_path / "places.txt").read_text()
