import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from callbacks.resume.data_loader_state import DataLoaderState
from callbacks.resume.random_state import RandomState
from datamodules.stateful_loader import StatefulLoader

BATCHES = 6  # an epoch


class Scheduled(L.LightningModule):
    """Notes what it is shown, and asks how many steps there will be, as a learning-rate schedule does."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch.tolist())
        return self.layer(batch[:, None].float()).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1 / self.trainer.estimated_stepping_batches)


def run(folder, *callbacks, resume=None, **options):
    L.seed_everything(0 if resume is None else 1, verbose=False)
    keep = ModelCheckpoint(folder, "{step}", save_top_k=-1, every_n_train_steps=1, save_on_train_epoch_end=False)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        accelerator="cpu", callbacks=[RandomState(), *callbacks, keep], max_epochs=2, **quiet, **options
    )
    module = Scheduled()
    loader = StatefulLoader(torch.arange(4 * BATCHES), batch_size=4, shuffle=True)
    trainer.fit(module, loader, ckpt_path=resume, weights_only=True)
    return module.seen


@pytest.mark.parametrize("batches", [BATCHES, BATCHES - 2])
def test_a_resumed_epoch_goes_on_where_it_stopped(batches, tmp_path):
    """Within each epoch and at its end, also one that is cut short."""
    options = {"limit_train_batches": batches}
    whole = run(tmp_path / "whole", DataLoaderState(), **options)
    for step in (1, batches - 1, batches, batches + 1):
        checkpoint = tmp_path / "whole" / f"step={step}.ckpt"
        assert run(tmp_path / str(step), DataLoaderState(), resume=checkpoint, **options) == whole[step:], step


def test_lightning_alone_forgets_the_place(tmp_path):
    whole = run(tmp_path / "whole")
    assert run(tmp_path / "resumed", resume=tmp_path / "whole" / "step=2.ckpt") != whole[2:]
