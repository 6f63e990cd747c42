"""Generative adversarial networks (Goodfellow et al. 2014) by manual optimization: two networks, two optimizers.

    batch ── real, classes ─────────────────────────┐
    noise ── latents ─► generator ─► fake ─┬─ cut ──► discriminator ─► its loss ─► its step
                                           └────────► discriminator, now changed ─► the generator's loss ─► its step

One pass of the generator serves both steps: the discriminator's does not change it. `trainer.global_step` counts
optimizer steps, two a batch (with `discriminator_steps` n, n + 1 in n batches), and so do `max_steps` and the
`every_n_train_steps` of a checkpoint; `log_every_n_steps` counts batches.

B batch, Z latent, C channels, H height, W width, K classes.
"""

from collections.abc import Callable, Sequence

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from adversarial.diff_augment import DiffAugmentation, augment
from adversarial.gradient_penalty import gradient_penalty
from adversarial.objectives import GANObjective, Relativistic
from checkpoints.onnx_function import ROWS, Input, OnnxFunction
from diffusion.noise import Generators, randn
from lightning_modules.data_contract import check_image_data
from lightning_modules.given_options import GivenOptions
from lightning_modules.named_classes import NamedClasses
from lightning_modules.optimized_module import scheduled
from lightning_modules.step_log import log_step
from limits import number, whole
from metrics import distributed_mean
from networks.class_labels import MOST_CLASSES, MOST_SAMPLES, class_labels, wanted
from networks.class_names import ClassNames
from networks.dcgan import Discriminator, Generator
from networks.evaluation_mode import evaluating
from networks.image_range import from_pixels, to_pixels
from networks.image_shape import check_images
from optim.lr_schedule import Constant, LRSchedule, LRSchedulerFactory
from optim.parameter_groups import OptimizerFactory, no_decay_on_vectors
from optim.training_length import planned_steps
from optim.weight_average import WeightAverage


class GAN(NamedClasses, GivenOptions):
    """Trained on {"image": (B, C, H, W) uint8, "label": (B,)}; draws images by `sample`, with averaged weights.

    Args:
        shape: C, H, W of the images.
        num_classes: K; 0 for a model that knows no classes.
        class_conditional: whether the networks know the classes of the data; false means num_classes 0.
        generator: makes, from shape and num_classes, the network that turns latents (B, Z) and classes (B,) into images
            (B, C, H, W) in [-1, 1]; its attribute `latent` is Z.
        discriminator: makes, from shape and num_classes, the network that turns images (B, C, H, W) and classes (B,)
            into logits (B,), high for real ones. It has no batch norm where there is a penalty.
        objective: the losses of both networks, by default `adversarial.objectives.Relativistic`.
        penalty: gamma of the gradient penalties R1 and R2, weighted by gamma / 2; 0 for none.
        diff_augment: changes to every image that the discriminator sees, in this order, such as those of
            `adversarial.diff_augment`.
        discriminator_steps: steps of the discriminator, a batch each, for one of the generator.
        generator_lr, discriminator_lr: the highest learning rates.
        generator_optimizer, discriminator_optimizer: make an optimizer from parameter groups and the learning rate.
        generator_lr_schedule, discriminator_lr_schedule: factor of the learning rate at each of the network's own
            steps, or what makes a scheduler from the optimizer; by default 1.
        generator_clip, discriminator_clip: largest norm of all gradients of a network; None for no limit.
        ema: decay per step of the moving average of the generator's weights, smaller in the first steps (`averaging`);
            0 for the weights themselves.
        num_samples: how many images `predict` draws, of all classes in turn.
    """

    inference_prefixes = ("averaged.",)  # all that `sample` needs (`checkpoints.pretrained`)
    hub_task = "unconditional-image-generation"  # of its card (`checkpoints.model_card`)
    usage = "images = model.sample(labels=[0, 1, 2])  # (B,) -> (B, C, H, W) uint8"

    def __init__(
        self,
        shape: Sequence[int] = (3, 32, 32),
        num_classes: int = 10,
        class_conditional: bool = True,
        generator: Callable[[Sequence[int], int], nn.Module] = Generator,
        discriminator: Callable[[Sequence[int], int], nn.Module] = Discriminator,
        objective: GANObjective | None = None,
        penalty: float = 0.05,
        diff_augment: Sequence[DiffAugmentation] = (),
        discriminator_steps: int = 1,
        generator_lr: float = 1e-3,
        discriminator_lr: float = 1e-3,
        generator_optimizer: OptimizerFactory = torch.optim.Adam,
        discriminator_optimizer: OptimizerFactory = torch.optim.Adam,
        generator_lr_schedule: LRSchedule | LRSchedulerFactory | None = None,
        discriminator_lr_schedule: LRSchedule | LRSchedulerFactory | None = None,
        generator_clip: float | None = None,
        discriminator_clip: float | None = None,
        ema: float = 0.999,
        num_samples: int = 100,
    ):
        super().__init__()
        whole(0, MOST_CLASSES, num_classes=num_classes)
        num_classes = num_classes if class_conditional else 0
        whole(1, MOST_SAMPLES, num_samples=num_samples)
        number("[0, 1e6]", penalty=penalty)
        whole(1, 1000, discriminator_steps=discriminator_steps)
        number("[0, inf)", generator_lr=generator_lr, discriminator_lr=discriminator_lr)
        number("[0, 1)", ema=ema)
        for name, clip in (("generator_clip", generator_clip), ("discriminator_clip", discriminator_clip)):
            if clip is not None:
                number("(0, inf)", **{name: clip})
        self.automatic_optimization = False
        self.save_hyperparameters(
            {
                "shape": list(shape),
                "num_classes": num_classes,
                "class_conditional": class_conditional,
                "penalty": penalty,
                "discriminator_steps": discriminator_steps,
                "generator_lr": generator_lr,
                "discriminator_lr": discriminator_lr,
                "generator_clip": generator_clip,
                "discriminator_clip": discriminator_clip,
                "ema": ema,
                "num_samples": num_samples,
            }
        )
        self.objective = Relativistic() if objective is None else objective
        if not isinstance(self.objective, GANObjective):
            raise ValueError(
                f"objective={objective!r} must be an object such as adversarial.objectives.Hinge(), or of your own "
                "subclass of GANObjective"
            )
        for change in diff_augment:
            if not callable(change):
                raise ValueError(
                    f"diff_augment: {change!r} must be an object such as adversarial.diff_augment.Translation()"
                )
        self.diff_augment = list(diff_augment)
        self.make_optimizers = (generator_optimizer, discriminator_optimizer)
        self.lr_schedules = tuple(
            Constant() if schedule is None else schedule
            for schedule in (generator_lr_schedule, discriminator_lr_schedule)
        )
        self.generator = generator(shape, num_classes)
        latent = getattr(self.generator, "latent", None)
        if not isinstance(latent, int):
            raise ValueError(
                f"{type(self.generator).__name__} needs an attribute latent: how many numbers it draws an image from"
            )
        self._latent = latent
        self.discriminator = discriminator(shape, num_classes)
        if penalty and any(isinstance(layer, _BatchNorm) for layer in self.discriminator.modules()):
            raise ValueError(
                f"penalty={penalty} with batch norm in the discriminator: the penalty needs each image's own gradient, "
                "and batch norm mixes them; set penalty to 0, or leave out the batch norm"
            )
        self.averaged = WeightAverage(self.generator, averaging(ema))
        self.averaged.eval().requires_grad_(False)
        self.names = ClassNames()

    def train(self, mode: bool = True) -> "GAN":
        """As usual, but the averaged generator is never trained: its batch norm goes by running statistics."""
        super().train(mode)
        self.averaged.eval()
        return self

    def latents(self, count: int, generator: Generators = None) -> Tensor:
        """(count, Z), standard normal, from one generator, one for each of them, or torch's global one."""
        whole(0, MOST_SAMPLES, count=count)
        return randn((count, self._latent), generator, self.device, torch.float32)

    @torch.no_grad()
    def sample(
        self, labels: Tensor | Sequence[int], generator: Generators = None, latents: Tensor | None = None
    ) -> Tensor:
        """An image for each class: (B,) -> (B, C, H, W) uint8, from latents (B, Z) where given, else `latents`."""
        labels = class_labels(labels, self.hparams.num_classes, self.device)
        latents = self.latents(len(labels), generator) if latents is None else latents
        if latents.shape != (len(labels), self._latent):
            raise ValueError(
                f"latents of shape {tuple(latents.shape)} for {len(labels)} labels; give "
                f"({len(labels)}, {self._latent}), as `latents` draws them"
            )
        with evaluating(self.averaged):
            return self._drawn(latents.to(self.device), labels)

    def _drawn(self, latents: Tensor, labels: Tensor) -> Tensor:
        return to_pixels(self.averaged(latents.to(self.dtype), labels))

    def onnx_functions(self) -> dict[str, OnnxFunction]:
        """The averaged generator, as `checkpoints.onnx_function.OnnxExportable` says."""
        classes, size = self.hparams.num_classes, " x ".join(map(str, self.hparams.shape))
        inputs = {"latents": Input(torch.randn(ROWS, self._latent), "standard normal draws")}
        if classes:
            labels = torch.randint(classes, (ROWS,))
            inputs["labels"] = Input(labels, f"the class of each image, from 0 to {classes - 1}")

        def draw(latents: Tensor, labels: Tensor | None = None) -> Tensor:
            none = latents.new_zeros(latents.shape[0], dtype=torch.long)
            return self._drawn(latents, none if labels is None else labels)

        return {"": OnnxFunction(draw, inputs, {"image": f"(batch, {size}) uint8: pixels from 0 to 255"})}

    def configure_callbacks(self) -> list:
        """Adds none. This hook is the first that Lightning calls: `gradient_clip_val` is refused here, with advice."""
        clip = self.trainer.gradient_clip_val
        if clip:
            raise ValueError(
                f"gradient_clip_val={clip}: a GAN clips each network by itself; set the model's generator_clip and "
                "discriminator_clip in its place"
            )
        return []

    def setup(self, stage: str) -> None:
        if isinstance(self.trainer.strategy, DDPStrategy):
            # No step uses both networks' weights, and Lightning has no public way to tell an existing strategy.
            self.trainer.strategy._ddp_kwargs["find_unused_parameters"] = True
        check_image_data(self, self.hparams.shape, self.hparams.num_classes)
        self.take_class_names(stage)

    def compilable_parts(self) -> list[nn.Module]:
        """Both networks; no discriminator with penalties: they take second derivatives, which torch.compile lacks."""
        return [self.generator] if self.hparams.penalty > 0 else [self.generator, self.discriminator]

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        check_images(batch["image"], self.hparams.shape)
        real, labels = from_pixels(batch["image"]), batch["label"]
        both = (batch_idx + 1) % self.hparams.discriminator_steps == 0
        optimizers, schedules = self.optimizers(), self.lr_schedulers()
        assert isinstance(optimizers, list)
        assert isinstance(schedules, list)
        generator_optimizer, discriminator_optimizer = optimizers
        generator_schedule, discriminator_schedule = schedules
        with torch.set_grad_enabled(both):
            fake = self.generator(self.latents(len(real)).to(self.dtype), labels)
        if fake.shape != real.shape:
            raise ValueError(
                f"the generator drew images of shape {list(fake.shape[1:])}, its data are of {list(real.shape[1:])}"
            )
        with discriminator_optimizer.toggle_model():
            self._step(discriminator_optimizer, discriminator_schedule, self.discriminator_loss(real, fake, labels))
        if both:
            with generator_optimizer.toggle_model():
                self._step(generator_optimizer, generator_schedule, self.generator_loss(real, fake, labels))
            self.averaged.update_parameters(self.generator)

    def _step(
        self, optimizer: LightningOptimizer, schedule: torch.optim.lr_scheduler.LRScheduler, loss: Tensor
    ) -> None:
        self.manual_backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()

    def discriminator_loss(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        """The discriminator's loss with its penalties, of images (B, C, H, W) in [-1, 1] and their classes (B,).

        No gradient of it reaches the generator.
        """
        penalized = self.hparams.penalty > 0
        real, fake = (self._seen(images.detach()).requires_grad_(penalized) for images in (real, fake))
        real_logits, fake_logits = self._logits(real, labels), self._logits(fake, labels)
        loss = self.objective.discriminator_loss(real_logits, fake_logits)
        log_step(self, "train/discriminator_loss", loss, prog_bar=True)
        log_step(self, "train/real_logit", real_logits.mean(), prog_bar=True)
        log_step(self, "train/fake_logit", fake_logits.mean(), prog_bar=True)
        if penalized:
            r1, r2 = gradient_penalty(real_logits, real), gradient_penalty(fake_logits, fake)
            log_step(self, "train/r1", r1)
            log_step(self, "train/r2", r2)
            loss = loss + self.hparams.penalty / 2 * (r1 + r2)
        return loss

    def generator_loss(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        """The generator's loss, of images (B, C, H, W) in [-1, 1] and their classes (B,)."""
        real_logits = None
        if self.objective.paired:
            with torch.no_grad():
                real_logits = self._logits(self._seen(real), labels)
        loss = self.objective.generator_loss(real_logits, self._logits(self._seen(fake), labels))
        log_step(self, "train/generator_loss", loss, prog_bar=True)
        return loss

    def _logits(self, images: Tensor, labels: Tensor) -> Tensor:
        logits = self.discriminator(images.to(self.dtype), labels)
        if logits.shape != (len(images),):
            raise ValueError(
                f"the discriminator gave logits of shape {tuple(logits.shape)} for {len(images)} images; it must give "
                f"one for each, ({len(images)},)"
            )
        return logits.float()

    def _seen(self, images: Tensor) -> Tensor:
        return augment(images.float(), self.diff_augment)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip here, where gradients are no longer scaled in any precision."""
        generators = optimizer is self.trainer.optimizers[0]
        network, clip = (
            (self.generator, self.hparams.generator_clip)
            if generators
            else (self.discriminator, self.hparams.discriminator_clip)
        )
        if clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), clip)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Logits of held-out images: where they lie far below `train/real_logit`, training images are memorised."""
        check_images(batch["image"], self.hparams.shape)
        logits = self._logits(from_pixels(batch["image"]), batch["label"])
        distributed_mean.log_mean(self, "val/real_logit", logits.mean(), len(logits), prog_bar=True)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Nothing to do image by image: samples are measured as a whole (`callbacks.sample_quality`)."""

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """An image for each label of the batch, (B, C, H, W) uint8; the run's seed and the "index" give its noise."""
        labels, generator = wanted(batch, type(self).__name__)
        return self.sample(labels, generator)

    def configure_optimizers(self) -> tuple[OptimizerLRSchedulerConfig, ...]:
        """Those of the generator and of the discriminator, each with a schedule over its own steps."""
        batches = planned_steps(self.trainer, 1 + 1 / self.hparams.discriminator_steps)
        parts = (
            ("generator", self.generator, self.hparams.generator_lr, batches / self.hparams.discriminator_steps),
            ("discriminator", self.discriminator, self.hparams.discriminator_lr, batches),
        )
        configured = []
        for (name, network, lr, steps), make, schedule in zip(
            parts, self.make_optimizers, self.lr_schedules, strict=True
        ):
            optimizer = make(no_decay_on_vectors(network), lr)
            # Unscaled, for `on_before_optimizer_step`.
            configured.append(scheduled(optimizer, schedule, self.trainer, f"lr/{name}", steps, unscaled=True))
        return tuple(configured)


def averaging(decay: float) -> Callable[[int], float]:
    """The decay of a moving average after n updates: (1 + n) / (10 + n), until that reaches `decay`.

    Otherwise the untrained weights of the start would stay in the average for long.
    """
    return lambda updates: min(decay, (1 + updates) / (10 + updates))
