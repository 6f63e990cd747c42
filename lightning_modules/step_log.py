"""Metrics of single training steps."""

import lightning as L
from torch import Tensor

from devices import asynchronous


def log_step(module: L.LightningModule, name: str, value: Tensor, prog_bar: bool = False) -> None:
    """Log a metric of a training step, by `module.log`.

    Lightning reads what a progress bar shows at every step, and the host would wait each time for the device, if that
    is not the CPU. There, the metric is logged in the batches whose metrics reach the logger (`log_every_n_steps`), and
    a progress bar shows that value until the next.
    """
    if asynchronous(value.device) and module._trainer is not None:
        if not (module.trainer._logger_connector.should_update_logs or module.trainer.fast_dev_run):  # type: ignore[attr-defined]
            return
        value = value.detach().cpu()
    module.log(name, value, prog_bar=prog_bar)
