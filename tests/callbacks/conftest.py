import lightning as L
import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datamodules.sorting import Sorting


@pytest.fixture
def sorting() -> Sorting:
    data = Sorting(max_length=8, train_size=16, val_size=40, batch_size=8)
    data.setup()
    return data


@pytest.fixture
def fitted(tmp_path):
    """fitted(module, data, callback): what TensorBoard holds after one epoch."""

    def fit(module, data, callback) -> EventAccumulator:
        trainer = L.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=TensorBoardLogger(tmp_path),
            callbacks=[callback],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            log_every_n_steps=1,
        )
        trainer.fit(module, data)
        events = EventAccumulator(trainer.log_dir, size_guidance={"tensors": 0, "images": 0})
        return events.Reload()

    return fit
