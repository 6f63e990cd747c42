import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

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
