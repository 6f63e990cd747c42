"""The training of a config as a loop in plain PyTorch, to hold Lightning's trainer against."""

from collections.abc import Callable
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn

from benchmarks.step_clock import lengthen, note, write
from lightning_modules.gan import GAN
from networks.image_range import from_pixels

Step = Callable[[dict[str, Tensor], int], None]


class BareLoop(L.Callback):
    """Trains in place of the trainer that has set everything up, then ends the process.

    Batches, augmentation, loss, precision, optimizers, schedules, clipping and averages of weights are those of the
    config. What is left out is the trainer: its hooks, the other callbacks, what is logged, the progress bar.

    Args:
        out: the file to write, as `benchmarks.step_clock.StepClock`'s.
        warm_up: as its.
    """

    def __init__(self, out: str, warm_up: int = 0):
        self.out, self.warm_up = out, warm_up

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        lengthen(trainer)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        module.log = module.log_dict = lambda *args, **options: None
        module.train()
        step = adversarial(trainer, module) if isinstance(module, GAN) else supervised(trainer, module)
        averages = [call._average_model for call in cast(Any, trainer).callbacks if isinstance(call, WeightAveraging)]
        data, starts = cast(Any, trainer).datamodule, []
        for number, batch in enumerate(data.train_dataloader()):
            batch = trainer.strategy.batch_to_device(batch)
            note(starts, self.warm_up, trainer)
            if len(starts) == trainer.num_training_batches:
                break
            step(batch, number)
            for average in averages:
                average.update_parameters(module)
        write(self.out, starts, module)
        raise SystemExit


def supervised(trainer: L.Trainer, module: L.LightningModule) -> Step:
    """A step of a module with one loss and one optimizer."""
    (optimizer,), schedules = trainer.optimizers, [config.scheduler for config in trainer.lr_scheduler_configs]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]  # the order rounds their norm
    clip = trainer.gradient_clip_val
    progress = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step

    def step(batch: dict[str, Tensor], number: int) -> None:
        with autocast(trainer):
            loss = module.training_step(batch, number)
        optimizer.zero_grad()
        loss.backward()
        module.on_before_optimizer_step(optimizer)  # sequences take the mean over tokens here
        if clip:
            nn.utils.clip_grad_norm_(weights, clip)
        optimizer.step()
        for schedule in schedules:
            schedule.step()
        progress.increment_completed()  # modules and schedules read `trainer.global_step`

    return step


def adversarial(trainer: L.Trainer, module: GAN) -> Step:
    """A step of both networks of a GAN that steps its discriminator once a batch and clips nothing."""
    generator_optimizer, discriminator_optimizer = trainer.optimizers
    generator_schedule, discriminator_schedule = (config.scheduler for config in trainer.lr_scheduler_configs)

    def lower(loss: Tensor, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler) -> None:
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()

    def step(batch: dict[str, Tensor], number: int) -> None:
        with autocast(trainer):
            real, labels = from_pixels(batch["image"]), batch["label"]
            fake = module.generator(module.latents(len(real)), labels)
            lower(module.discriminator_loss(real, fake, labels), discriminator_optimizer, discriminator_schedule)
            module.discriminator.requires_grad_(False)
            lower(module.generator_loss(real, fake, labels), generator_optimizer, generator_schedule)
            module.discriminator.requires_grad_(True)
            module.averaged.update_parameters(module.generator)

    return step


def autocast(trainer: L.Trainer) -> torch.autocast:
    """The precision that the trainer was given: "bf16-mixed" or "32-true".

    Like Lightning's, it casts a weight anew wherever it is used: with one cast for several uses, such as a
    discriminator's on real and on generated images, their gradients would be added in bf16.
    """
    device, mixed = trainer.strategy.root_device.type, trainer.precision == "bf16-mixed"
    return torch.autocast(device, torch.bfloat16, enabled=mixed, cache_enabled=False)
