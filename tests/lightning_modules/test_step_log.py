import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from lightning_modules import step_log
from lightning_modules.step_log import log_step
from tests.lightning_modules.every_module import trainer


class Counts(L.LightningModule):
    """Logs the number of the batch, twice where it tells of two metrics."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.shown = []

    def training_step(self, batch, batch_idx):
        log_step(self, "train/loss", batch.sum() + self.weight, prog_bar=True)
        return self.weight

    def on_train_batch_end(self, outputs, batch, batch_idx):
        bar = self.trainer.progress_bar_metrics
        self.shown.append(bar.get("train/loss"))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.0)


@pytest.mark.parametrize(
    ("asynchronous", "shown"),
    [(False, [0, 1, 2, 3, 4, 5, 6]), (True, [None, None, 2, 2, 2, 5, 5])],
)
def test_a_device_is_read_where_metrics_reach_the_logger(asynchronous, shown, monkeypatch):
    monkeypatch.setattr(step_log, "asynchronous", lambda device: asynchronous)
    module = Counts()
    trainer(max_epochs=1, max_steps=-1, log_every_n_steps=3).fit(module, DataLoader(torch.arange(7.0)))
    assert module.shown == shown
    assert module.trainer.callback_metrics["train/loss"] == shown[-1]


def test_without_a_trainer_a_loss_is_a_loss():
    module = Counts()
    with pytest.warns(UserWarning, match="self.log"):
        assert module.training_step(torch.ones(1), 0) == 0
