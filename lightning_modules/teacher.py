"""A trained model that another one of its kind learns from."""

from collections.abc import Iterable
from typing import Generic, TypeVar, cast

import lightning as L
import torch

from checkpoints.load_trained import load_trained
from diffusion.distillation import Distillation
from diffusion.scheduler import NoiseScheduler

Module = TypeVar("Module", bound=L.LightningModule)


class Teacher(Generic[Module]):
    """Holds the teacher of a distillation apart from its student, whose weights and checkpoints it is no part of.

    Args:
        distillation: names the teacher.
        kind: the class that it must be of.
        student: the module that learns; its `scheduler` must have the steps and the noise of the teacher's.
        same: names of hyperparameters that must be the same in both.

    Raises FileNotFoundError or ValueError where there is no such teacher, or it does not fit.
    """

    def __init__(self, distillation: Distillation, kind: type[Module], student: L.LightningModule, same: Iterable[str]):
        model = load_trained(distillation.teacher, kind).requires_grad_(False)
        for name in ("num_train_timesteps", *same):
            ours, theirs = student.hparams[name], model.hparams[name]
            if ours != theirs:
                raise ValueError(f"the teacher {distillation.teacher} has {name}={theirs}, this model {name}={ours}")
        ours, theirs = (cast(NoiseScheduler, one.scheduler).betas.cpu() for one in (student, model))
        if not torch.equal(ours, theirs):
            raise ValueError(f"the teacher {distillation.teacher} has another noise_schedule; give this model the same")
        self._model = model

    def on(self, device: torch.device) -> Module:
        """The teacher, in eval mode, on a device."""
        return self._model.to(device)
