"""Optimizers whose options are those of their module's arguments."""

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

        learning rates   are what this run's schedule names for the next step. Another `max_epochs`, or without it
                         another `max_steps` or `max_time`, is another schedule: where a run ended at a rate of 0, one
                         that goes on would take its first step at 0, too. A rate that a scheduler of torch's own has
                         changed is changed by the same factor
        other options    such as weight decay, are put back where the run that wrote the checkpoint was given others.
                         What a scheduler or a callback has made of them since (`OneCycleLR` of the momentum) stays

    For answers of `configure_optimizers` that are a dictionary, or a tuple of them; others are left alone.
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
    """All of a parameter group but its parameters, and learning rates that a schedule sets."""
    others = {"params", "param_names"} | ({"lr", "initial_lr"} if "initial_lr" in group else set())
    return {name: value for name, value in group.items() if name not in others}
