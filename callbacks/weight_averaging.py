"""Averaged weights, which are validated and saved."""

from typing import Any

import lightning as L
from lightning.pytorch import callbacks


class EMAWeightAveraging(callbacks.EMAWeightAveraging):
    """Lightning's exponential moving average, with the same arguments; until it starts, it equals the weights.

    Lightning's own keeps the untrained weights up to `update_starting_at_step` or `update_starting_at_epoch`, validates
    with them and saves them. `use_buffers` is false by default: only weights are averaged, not statistics of the data.
    """

    def __init__(self, use_buffers: bool = False, **options):
        super().__init__(use_buffers=use_buffers, **options)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)
        average = self._average_model
        assert average is not None  # made by `setup`
        if self._latest_update_step == 0 and not average.n_averaged:  # a new average begins as a copy
            average.update_parameters(module)
            average.n_averaged.zero_()
