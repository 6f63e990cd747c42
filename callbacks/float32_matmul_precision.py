"""How exactly a GPU multiplies float32 matrices."""

from typing import Literal

import lightning as L
import torch


class Float32MatmulPrecision(L.Callback):
    """Sets `torch.set_float32_matmul_precision` for a run, and puts it back at its end.

    NVIDIA GPUs since Ampere multiply float32 matrices several times as fast in TF32 ("high", 10 bits of mantissa) as
    in float32 ("highest", 23 bits). It concerns what is not computed in bfloat16 anyhow. Convolutions have TF32 by
    default. On a CPU "high" changes nothing where it has no such instructions.

    Args:
        precision: "highest", "high" or "medium".
    """

    def __init__(self, precision: Literal["highest", "high", "medium"] = "high"):
        self.precision = precision

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self._before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(self.precision)

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        torch.set_float32_matmul_precision(self._before)
