"""A loss that is no number ends the run before it can reach the weights."""

import lightning as L
import torch
from torch import Tensor


class FiniteLoss(L.Callback):
    """Raises ValueError, with the step and the batch, for a loss that is NaN or infinite, before its backward pass.

    Nothing is replaced by zero and nothing is saved: the checkpoints stay those from before.
    """

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self._batch = batch_idx

    def on_before_backward(self, trainer: L.Trainer, module: L.LightningModule, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise ValueError(
                f"the loss is {loss.item()} at step {trainer.global_step} (epoch {trainer.current_epoch}, batch "
                f"{self._batch}): nothing was learned from this batch; lower the learning rate or the gradient clip, "
                "look at that batch, or train in 32-true, and go on from the last checkpoint with --ckpt_path"
            )
