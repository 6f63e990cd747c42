"""Write what a policy would do in `predict`.

B batch, O observations, T actions, A action dimensions.
"""

from collections.abc import Sequence
from typing import Any

import lightning as L
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from callbacks.prediction_files import PredictionFiles

VECTORS = pa.list_(pa.list_(pa.float32()))


class ActionPredictionWriter(PredictionFiles):
    """`predict` leaves actions.parquet in the run's folder: a row for each window of the demonstrations.

        index        the window's number
        observation  what the policy sees: O rows of numbers, the last one now; observation.KEY where there are several,
                     images left out
        predicted    what it would do from there: T actions
        target       what the demonstration did, where the batch has it

    All in the units of the world, in Push-T its pixels. With several processes each writes its own windows, all but
    the first to actions-RANK.parquet. The module's `predict_step` returns the actions (B, T, A) of the batch's
    "observation".
    """

    def on_predict_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        super().on_predict_start(trainer, module)
        self._path = self.folder / f"actions{self.rank}.parquet"
        self._file: pq.ParquetWriter | None = None

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        count, processes = len(prediction), trainer.world_size
        first = self.written * processes + trainer.global_rank
        own = range(first, first + count * processes, processes)  # where the batch does not number its windows
        numbers = batch["index"].tolist() if "index" in batch else list(own)
        targets = batch["action"].tolist() if "action" in batch else [None] * count
        seen = batch["observation"]
        seen = {f".{key}": values for key, values in seen.items()} if isinstance(seen, dict) else {"": seen}
        vectors = {f"observation{key}": values.tolist() for key, values in seen.items() if values.ndim == 3}
        columns = {"index": numbers, **vectors, "predicted": prediction.tolist(), "target": targets}
        if self._file is None:
            schema = pa.schema({name: pa.int64() if name == "index" else VECTORS for name in columns})
            self._file = pq.ParquetWriter(self._path, schema)
        self._file.write_table(pa.table(columns, schema=self._file.schema))
        self.written += count

    def on_predict_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._close()
        print(f"actions for {self.written} observations in {self._path}")

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        self._close()  # what was written until then can be read

    def _close(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()
