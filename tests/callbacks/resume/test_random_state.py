import random

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from callbacks.resume.random_state import RandomState
from datamodules.stateful_loader import StatefulLoader

BATCHES = 6  # an epoch


class Watch(L.LightningModule):
    """Notes what it is shown, and draws from all three generators."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seen = []

    def training_step(self, batch, batch_idx):
        draws = (torch.rand(1).item(), np.random.rand(), random.random())  # noqa: NPY002
        self.seen.append((batch.tolist(), draws))
        return self.layer(batch[:, None].float()).mean()

    def validation_step(self, batch, batch_idx):
        torch.rand(3)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-3)


def run(folder, seed, resume=None, **options):
    L.seed_everything(seed, verbose=False)
    keep = ModelCheckpoint(
        folder, filename="{step}", save_top_k=-1, every_n_train_steps=1, save_on_train_epoch_end=False
    )
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", callbacks=[RandomState(), keep], **quiet, **options)
    module = Watch()
    loader = StatefulLoader(torch.arange(4 * BATCHES), batch_size=4, shuffle=True)
    trainer.fit(module, loader, StatefulLoader(torch.arange(3)), ckpt_path=resume, weights_only=True)
    return module.seen


@pytest.mark.parametrize("options", [{"max_epochs": 3}, {"max_epochs": 3, "check_val_every_n_epoch": 2}])
def test_a_resumed_run_sees_and_draws_the_same(tmp_path, options):
    """Wherever it stopped: within an epoch, and at its end."""
    whole = run(tmp_path / "whole", 0, **options)
    assert len({str(batch) for batch, _ in whole}) == 3 * BATCHES
    for step in (1, 4, BATCHES, BATCHES + 1, 2 * BATCHES, 2 * BATCHES + 5):
        resumed = run(tmp_path / f"resumed{step}", 1, tmp_path / "whole" / f"step={step}.ckpt", **options)
        assert resumed == whole[step:], step


def test_without_a_checkpoint_the_seed_holds(tmp_path):
    assert run(tmp_path / "a", 0, max_epochs=1) == run(tmp_path / "b", 0, max_epochs=1)
    assert run(tmp_path / "a", 0, max_epochs=1) != run(tmp_path / "c", 1, max_epochs=1)


def test_validation_does_not_change_the_training(tmp_path):
    often = run(tmp_path / "often", 0, max_epochs=2, val_check_interval=2)
    assert often == run(tmp_path / "never", 0, max_epochs=2, limit_val_batches=0)
