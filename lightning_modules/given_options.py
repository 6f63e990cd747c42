"""Optimizers that keep to their module's own learning rate and options, whatever a checkpoint brings."""

from typing import Any

import lightning as L
from lightning.fabric.utilities.data import AttributeDict
from torch import optim

KEY = "optimizer_options"  # in a checkpoint


class GivenOptions(L.LightningModule):
    """A LightningModule that trains with the learning rates and options that its `configure_optimizers` gives.

    Two things change them in its optimizers before a training starts: a checkpoint brings those of the run that wrote
    it, and Lightning's learning-rate finder sets `hparams.lr` after the optimizers were made. Here, when a training
    starts,

        learning rates   are set to what this run's schedule gives for the next step. Another `max_epochs`, or without
                         it another `max_steps` or `max_time`, means another schedule: a run that ended at a rate of 0
                         would otherwise go on with a first step at 0. A rate that one of torch's own schedulers has
                         changed is scaled by the ratio of the two initial rates
        other options    such as weight decay, are set anew where the run that wrote the checkpoint was given another
                         value. What a scheduler or a callback has since made of them (`OneCycleLR` of the momentum)
                         stays

    It works where `configure_optimizers` returns a dictionary or a tuple of them; other forms are left alone.
    """

    hparams: AttributeDict  # what `save_hyperparameters` makes of a dictionary
    _given: dict[str, Any] | None = None  # name of an option: its value
    _given_before: dict[str, Any] | None = None  # to the run that wrote the checkpoint

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._given is not None:
            checkpoint[KEY] = self._given

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._given_before = checkpoint.get(KEY)

    def on_train_start(self) -> None:
        configured = self.configure_optimizers()
        configured = configured if isinstance(configured, tuple) else (configured,)
        if not all(isinstance(part, dict) for part in configured):
            return
        schedules = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        named = [part["lr_scheduler"]["scheduler"] for part in configured if "lr_scheduler" in part]
        if list(map(type, schedules)) != list(map(type, named)):  # within the finder's own search
            return
        before, self._given, self._given_before = self._given_before or {}, {}, None
        for number, (optimizer, part) in enumerate(zip(self.trainer.optimizers, configured, strict=True)):
            groups = zip(optimizer.param_groups, part["optimizer"].param_groups, strict=True)
            for place, (group, given) in enumerate(groups):
                for name, value in _options(given).items():
                    key = f"{number}.{place}.{name}"
                    self._given[key] = value
                    if key not in before or before[key] != value:
                        group[name] = value
                if "initial_lr" in given:
                    self._scale(group, given)
        for schedule, given in zip(schedules, named, strict=True):
            if hasattr(given, "base_lrs"):
                schedule.base_lrs = given.base_lrs
            if isinstance(schedule, optim.lr_scheduler.LambdaLR):
                factors = zip(schedule.optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True)
                for group, rate, factor in factors:
                    group["lr"] = rate * factor(schedule.last_epoch)

    def _scale(self, group: dict[str, Any], given: dict[str, Any]) -> None:
        """A group's learning rate, after a change from one initial rate to another."""
        before, now = group["initial_lr"], given["initial_lr"]
        if not self.trainer.global_step:
            group["lr"] = given["lr"]
        elif before != now:
            group["lr"] = group["lr"] * now / before if before else now
        group["initial_lr"] = now


def _options(group: dict[str, Any]) -> dict[str, Any]:
    """A parameter group without its parameters and without learning rates that a schedule sets."""
    others = {"params", "param_names"} | ({"lr", "initial_lr"} if "initial_lr" in group else set())
    return {name: value for name, value in group.items() if name not in others}
