"""Write what a policy would do in `predict`.

B batch, O observations, T actions.
"""

from pathlib import Path

import lightning as L
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from torch import Tensor

POINT = pa.list_(pa.float32())
SCHEMA = pa.schema(
    {"index": pa.int64(), "observation": pa.list_(POINT), "predicted": pa.list_(POINT), "target": pa.list_(POINT)}
)


class ActionPredictionWriter(L.Callback):
    """`predict` leaves actions.parquet in the run's folder: a row for each window of the demonstrations.

        index        the window's number
        observation  what the policy sees: O rows of numbers, the last one now
        predicted    what it would do from there: T actions (x, y)
        target       what the demonstration did, where the batch says so

    All in raw units, pixels of the world. Of several processes each writes its own windows, those after the first to
    actions-RANK.parquet. The module's `predict_step` returns the actions (B, T, 2) of the batch's "observation".
    """

    def on_predict_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        folder = Path(trainer.log_dir or ".")
        folder.mkdir(parents=True, exist_ok=True)
        rank = f"-{trainer.global_rank}" if trainer.global_rank else ""
        self._path, self._written = folder / f"actions{rank}.parquet", 0
        self._file = pq.ParquetWriter(self._path, SCHEMA)

    def on_predict_batch_end(
        self, trainer, module, outputs: Tensor, batch: dict[str, Tensor], batch_idx, dataloader_idx=0
    ) -> None:
        count, others = len(outputs), trainer.world_size
        first = self._written * others + trainer.global_rank
        numbers = batch["index"].tolist() if "index" in batch else range(first, first + count * others, others)
        targets = batch["action"].tolist() if "action" in batch else [None] * count
        columns = [list(numbers), batch["observation"].tolist(), outputs.tolist(), targets]
        self._file.write_table(pa.table(columns, SCHEMA))
        self._written += count

    def on_predict_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._file.close()
        console = Console(soft_wrap=True, highlight=False, markup=False)
        console.print(f"actions for {self._written} observations in {self._path}")

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        if hasattr(self, "_file"):  # what was written until then can be read
            self._file.close()
