"""The checkpoint to resume from."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint


class LastCheckpoint(ModelCheckpoint):
    """Writes `last.ckpt` at the end of training epochs, whatever the metrics say, and where the training ends.

    It is written every `every_n_epochs` epochs, after the last one, and within an epoch where `max_steps`, `max_time`
    or anything that sets `trainer.should_stop` ends the training.

    Lightning's own `save_last` is only written when a best checkpoint is: a run that stops improving would be resumed
    from where it was best.

    No checkpoint holds gradients: where several batches share an optimizer step, a stop waits for the last of them.
    """

    def __init__(self, every_n_epochs: int = 1):
        super().__init__(
            filename="last",
            every_n_epochs=every_n_epochs,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        self._stop = False  # asked for, and waiting

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._whole_steps(trainer)

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._whole_steps(trainer)

    def _whole_steps(self, trainer: L.Trainer) -> None:
        if not step_is_whole(trainer):
            self._stop, trainer.should_stop = self._stop or trainer.should_stop, False
        elif self._stop:
            self._stop, trainer.should_stop = False, True

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        epochs = trainer.current_epoch + 1
        ends = trainer.should_stop or epochs == trainer.max_epochs or 0 <= trainer.max_steps <= trainer.global_step
        every = self.every_n_epochs or 0
        due = every > 0 and epochs % every == 0
        if (due or ends) and not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))


def step_is_whole(trainer: L.Trainer) -> bool:
    """Whether the batch was the last of those that share an optimizer step."""
    loop = trainer.fit_loop
    return trainer.is_last_batch or (loop.batch_idx + 1) % trainer.accumulate_grad_batches == 0
