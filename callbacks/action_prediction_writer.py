"""Write what a policy would do in `predict`.

B batch, O observations, T actions.
"""

from collections.abc import Sequence

import lightning as L
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from callbacks.prediction_files import PredictionFiles, say

POINT = pa.list_(pa.float32())
SCHEMA = pa.schema(
    {"index": pa.int64(), "observation": pa.list_(POINT), "predicted": pa.list_(POINT), "target": pa.list_(POINT)}
)


class ActionPredictionWriter(PredictionFiles):
    """`predict` leaves actions.parquet in the run's folder: a row for each window of the demonstrations.

        index        the window's number
        observation  what the policy sees: O rows of numbers, the last one now
        predicted    what it would do from there: T actions (x, y)
        target       what the demonstration did, where the batch has it

    All in raw units, pixels of the world. With several processes each writes its own windows, all but the first to
    actions-RANK.parquet. The module's `predict_step` returns the actions (B, T, 2) of the batch's "observation".
    """

    def on_predict_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        super().on_predict_start(trainer, module)
        self._path = self.folder / f"actions{self.rank}.parquet"
        self._file = pq.ParquetWriter(self._path, SCHEMA)

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        count, processes = len(prediction), trainer.world_size
        first = self.written * processes + trainer.global_rank
        own = range(first, first + count * processes, processes)  # where the batch does not number its windows
        numbers = batch["index"].tolist() if "index" in batch else list(own)
        targets = batch["action"].tolist() if "action" in batch else [None] * count
        columns = [numbers, batch["observation"].tolist(), prediction.tolist(), targets]
        self._file.write_table(pa.table(columns, SCHEMA))
        self.written += count

    def on_predict_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._file.close()
        say(f"actions for {self.written} observations in {self._path}")

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        if hasattr(self, "_file"):  # what was written until then can be read
            self._file.close()
