"""Where in an epoch a resumed run goes on."""

import lightning as L

from datamodules.resumable_loader import ResumableLoader


class LoaderPlace(L.Callback):
    """Gives the training loader the place that the checkpoint holds, when the training starts.

    Lightning keeps the place in checkpoints, and gives it back where nothing has asked for the loader before it
    restores its loops. A learning-rate schedule has, by `trainer.estimated_stepping_batches`: the rest of the epoch
    would be drawn anew. A place at the end of an epoch, also one that `limit_train_batches` ends, is no place in the
    next.
    """

    def __init__(self):
        self._places: list[dict] = []

    def on_load_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict) -> None:
        self._places = checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader", [])

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        places, self._places = self._places, []
        loader = trainer.train_dataloader
        if places and isinstance(loader, ResumableLoader):
            given = trainer.fit_loop.epoch_loop.batch_progress.current.ready
            loader.load_state_dict(places[0] | ({"given": 0} if given >= trainer.num_training_batches else {}))
