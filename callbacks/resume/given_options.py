"""An optimizer's options as they are given now, over those of a checkpoint."""

import lightning as L


class GivenOptions(L.Callback):
    """A run that goes on with another learning rate, weight decay, ... than its checkpoint's trains with that.

    With the optimizer's state Lightning restores its options. Here they are put back as `configure_optimizers` gave
    them; a learning rate that a schedule has changed since is changed by the same factor.
    """

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Lightning restores the optimizers after this hook."""
        self._groups = [
            [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
            for optimizer in trainer.optimizers
        ]
        self._rates = [list(config.scheduler.base_lrs) for config in trainer.lr_scheduler_configs]

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        for optimizer, groups in zip(trainer.optimizers, self._groups, strict=True):
            for group, given in zip(optimizer.param_groups, groups, strict=True):
                if group.get("initial_lr"):
                    given = given | {"lr": group["lr"] / group["initial_lr"] * given["initial_lr"]}
                group.update(given)
        for config, rates in zip(trainer.lr_scheduler_configs, self._rates, strict=True):
            config.scheduler.base_lrs = rates
