"""The checkpoint to resume from."""

from lightning.pytorch.callbacks import ModelCheckpoint


class LastCheckpoint(ModelCheckpoint):
    """Writes `last.ckpt` at the end of every `every_n_epochs` training epochs, whatever the metrics say.

    Lightning's own `save_last` is only written when a best checkpoint is: a run that stops improving would be resumed
    from where it was best.
    """

    def __init__(self, every_n_epochs: int = 1):
        super().__init__(
            filename="last",
            every_n_epochs=every_n_epochs,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
