"""Averaged weights, which are validated and saved."""

from typing import Any

import lightning as L
from lightning.pytorch import callbacks

from limits import number
from optim.weight_average import WeightAverage


class EMAWeightAveraging(callbacks.EMAWeightAveraging):
    """Lightning's exponential moving average, with the same arguments; until it starts, it equals the weights.

    Lightning's own keeps the untrained weights up to `update_starting_at_step` or `update_starting_at_epoch`, validates
    with them and saves them. Its average is made before the module moves to its device and stays behind, so that every
    update copies all weights to the CPU; ours moves along, unless `device` says where it is to be. `use_buffers` is
    false by default: only weights are averaged, not statistics of the data.
    """

    _average_model: WeightAverage | None

    def __init__(self, use_buffers: bool = False, decay: float = 0.999, **options):
        number("[0, 1]", decay=decay)
        super().__init__(use_buffers=use_buffers, decay=decay, **options)
        self.decay = decay

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        super().setup(trainer, module, stage)
        if stage == "fit":
            self._average_model = WeightAverage(module, lambda _: self.decay, self._device, self._use_buffers)

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self._device is None:
            self._average.to(module.device)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)
        if self._latest_update_step == 0 and not self._average.updates:  # a new average begins as a copy
            self._average.copy(module)

    @property
    def _average(self) -> WeightAverage:
        assert self._average_model is not None  # made by `setup`
        return self._average_model
