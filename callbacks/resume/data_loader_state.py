"""Where in a run, and in an epoch, a resumed run goes on."""

from typing import Any

import lightning as L
from torch.utils._pytree import tree_leaves

from datamodules.stateful_loader import StatefulLoader

COUNTERS = ("total", "current")


class DataLoaderState(L.Callback):
    """A resumed run goes on with the very next batch, whatever stopped the run and wherever it saved.

    Lightning's own loops restore some positions wrongly. Two are put right in the checkpoint that is loaded:

        within an epoch   Lightning takes an epoch that `max_steps` or `trainer.should_stop` (`max_time`, EarlyStopping)
                          broke off for a finished one, and would leave out the rest of it
        between epochs    with `max_steps` Lightning begins the finished epoch again, and counts it twice

    The training loaders get their position when the training starts. Lightning gives it to them only if nothing asked
    for a loader before the loops were restored, and a learning-rate schedule does (`estimated_stepping_batches`).

    Raises ValueError for a position within an epoch whose batches are not the loader's (see `StatefulLoader`).
    """

    def __init__(self):
        self._places: list[dict] = []
        self._resumed = False

    def on_load_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict) -> None:
        loops = checkpoint.get("loops", {}).get("fit_loop")
        if not loops:
            return
        self._places = loops["state_dict"].get("combined_loader", [])
        self._resumed = True
        epochs, batches = loops["epoch_progress"], loops["epoch_loop.batch_progress"]
        counted = epochs["current"]["processed"] == epochs["current"]["ready"]
        if batches["is_last_batch"]:
            for place in self._places:  # the next epoch starts anew, also where `limit_train_batches` ended this one
                place |= {"given": 0} if "given" in place else {}
        if counted and batches["is_last_batch"]:
            _to_the_next_epoch(loops)
        elif counted:
            _back_into_the_epoch(epochs)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        places, self._places = self._places, []
        loaders = [loader for loader in tree_leaves(trainer.train_dataloader) if hasattr(loader, "load_state_dict")]
        for loader, place in zip(loaders, places, strict=False):
            if isinstance(loader, StatefulLoader):
                loader.load_state_dict(place)

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        if self._resumed:  # Lightning may count the last step before the checkpoint twice: the log would be off by one
            self._resumed, loop = False, trainer.fit_loop.epoch_loop
            automatic = module.automatic_optimization
            loop._batches_that_stepped = loop.global_step if automatic else loop.total_batch_idx


def _back_into_the_epoch(epochs: dict) -> None:
    for counter in COUNTERS:
        done = epochs[counter]["ready"] - 1
        epochs[counter] |= {"processed": done, "completed": done}


def _to_the_next_epoch(loops: dict) -> None:
    """As Lightning itself leaves its loops before it begins an epoch."""
    epochs = loops["epoch_progress"]
    for counter in COUNTERS:
        epochs[counter]["completed"] = epochs[counter]["processed"]
    batches = loops["epoch_loop.batch_progress"]
    batches["is_last_batch"] = False
    optimizer = loops["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
    for progress in (batches, loops["epoch_loop.scheduler_progress"], optimizer["step"], optimizer["zero_grad"]):
        progress["current"] = dict.fromkeys(progress["current"], 0)
    validated = loops["epoch_loop.val_loop.batch_progress"]
    validated["total"] = dict.fromkeys(validated["total"], 0)
