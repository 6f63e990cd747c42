import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from callbacks import non_finite_guard
from callbacks.non_finite_guard import NonFiniteGuard


class Learner(L.LightningModule):
    """Its loss is the batch's own number times its weight."""

    def __init__(self, manual: bool):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.automatic_optimization = not manual

    def training_step(self, batch, batch_idx):
        loss = self.weight * batch.sum()
        if not self.automatic_optimization:
            self.optimizers().zero_grad()
            self.manual_backward(loss)
            self.optimizers().step()
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_ends_the_run_at_its_batch(bad, manual, tmp_path):
    module = Learner(manual)
    numbers = DataLoader(torch.tensor([1.0, 2.0, bad, 3.0]), batch_size=1)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        accelerator="cpu", callbacks=[NonFiniteGuard()], default_root_dir=tmp_path, max_epochs=1, **quiet
    )
    with pytest.raises(ValueError, match=r"the loss is -?(nan|inf) at step 2 \(epoch 0, batch 2\)"):
        trainer.fit(module, numbers)
    assert module.weight.item() == pytest.approx(1 - 0.1 - 0.2)  # what the good batches taught
    assert trainer.global_step == 2


class Late(Learner):
    """Weights that stay finite where the loss is not: its gradient is 0."""

    def training_step(self, batch, batch_idx):
        return self.weight * 0 + batch.sum()


@pytest.mark.parametrize("make", [Learner, Late])
@pytest.mark.parametrize("every", [1, 3, 4, 0])
def test_on_an_accelerator_it_is_found_at_the_logging_interval(make, every, tmp_path, monkeypatch):
    """With the step in which it began; and the host waits for nothing before."""
    monkeypatch.setattr(non_finite_guard, "asynchronous", lambda device: True)
    numbers = torch.ones(20)
    numbers[5] = float("inf")  # of batch 5, the sixth
    guard, quiet = NonFiniteGuard(), {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        accelerator="cpu",
        callbacks=[guard],
        default_root_dir=tmp_path,
        max_epochs=1,
        log_every_n_steps=every,
        enable_checkpointing=False,
        **quiet,
    )
    with pytest.raises(ValueError, match=r"the loss is inf at step 5 \(epoch 0, batch 5\): weights have changed since"):
        trainer.fit(make(manual=False), DataLoader(numbers, batch_size=1))
    assert trainer.global_step == {1: 6, 3: 6, 4: 8, 0: 20}[every]


def test_on_an_accelerator_nothing_is_saved_once_a_loss_was_not_finite(tmp_path, monkeypatch):
    monkeypatch.setattr(non_finite_guard, "asynchronous", lambda device: True)
    numbers = torch.ones(20)
    numbers[5] = float("nan")
    save = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    trainer = L.Trainer(
        accelerator="cpu",
        callbacks=[NonFiniteGuard(), save],
        max_epochs=1,
        log_every_n_steps=1000,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with pytest.raises(ValueError, match=r"the loss is nan at step 5 "):
        trainer.fit(Late(manual=False), DataLoader(numbers, batch_size=1))
    assert {path.name for path in tmp_path.glob("*.ckpt")} == {"step=2.ckpt", "step=4.ckpt"}
