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
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from adversarial import diff_augment as augmentation
from adversarial import objectives as adversarial
from diffusion.noise import Generators, randn
from lightning_modules import drawing
from limits import number, whole
from metrics import distributed_mean as distributed_mean
from networks.dcgan import Discriminator, Generator
from networks.evaluation import evaluating
from networks.image_range import from_pixels, to_pixels
from optim.lr_schedule import OwnRates, scheduled, total_steps, warmup_cosine


class GAN(OwnRates):
    """Trained on {"image": (B, C, H, W) uint8, "label": (B,)}; draws pictures by `sample`, with averaged weights.

    Args:
        shape: C, H, W of the pictures.
        num_classes: K; 0 for a model that knows no classes.
        latent: Z.
        width: channels of both networks where the resolution is half that of the picture.
        discriminator_batch_norm: as DCGAN has it; not with a penalty.
        objective: what both want (`adversarial.objectives`): "minimax", "non_saturating", "hinge",
            "relativistic", or the dotted name of a pair of your own.
        penalty: gamma of the gradient penalties R1 and R2, weighed by gamma / 2; 0 for none.
        diff_augment: changes to all that the discriminator sees, in this order (`adversarial.diff_augment`).
        discriminator_steps: steps of the discriminator, a batch each, for one of the generator.
        generator_lr, discriminator_lr: Adam's highest learning rates.
        generator_final_lr, discriminator_final_lr: what is left of them at the last step, where a cosine ends, and
            where warm-up begins, as a share; 1 for a constant rate. A `max_time` of the trainer is an end, too; a
            training without an end goes on at the highest rates.
        warmup: share of the steps (of 10,000 in a training without an end) in which the rates rise linearly.
        betas: Adam's.
        generator_clip, discriminator_clip: largest norm of all gradients of a network; None for no limit.
        ema: decay of the average of the generator's weights, a step, less in the first ones (`averaging`); 0 for the
            weights themselves.
        num_samples: how many pictures `predict` draws, of all classes in turn.
    """

    inference_prefixes = ("averaged.",)  # all that `sample` needs (`checkpoints.pretrained`)

    def __init__(
        self,
        shape: list[int] = (3, 32, 32),
        num_classes: int = 10,
        latent: int = 128,
        width: int = 64,
        discriminator_batch_norm: bool = False,
        objective: str = "relativistic",
        penalty: float = 0.05,
        diff_augment: list[str] = (),
        discriminator_steps: int = 1,
        generator_lr: float = 1e-3,
        discriminator_lr: float = 1e-3,
        generator_final_lr: float = 1.0,
        discriminator_final_lr: float = 1.0,
        warmup: float = 0.0,
        betas: list[float] = (0.0, 0.99),
        generator_clip: float | None = None,
        discriminator_clip: float | None = None,
        ema: float = 0.999,
        num_samples: int = 100,
    ):
        super().__init__()
        whole(0, drawing.MOST_CLASSES, num_classes=num_classes)
        whole(1, drawing.MOST_SAMPLES, num_samples=num_samples)
        number("[0, 1e6]", penalty=penalty)
        if penalty and discriminator_batch_norm:
            raise ValueError(
                f"penalty={penalty} with discriminator_batch_norm=true: the penalty needs each picture's own gradient, "
                "and batch norm mixes them; set one of the two to 0 or false"
            )
        whole(1, 1000, discriminator_steps=discriminator_steps)
        number("[0, inf)", generator_lr=generator_lr, discriminator_lr=discriminator_lr)
        number("[0, inf)", generator_final_lr=generator_final_lr, discriminator_final_lr=discriminator_final_lr)
        number("[0, 1)", ema=ema, warmup=warmup)
        if len(betas) != 2:
            raise ValueError(f"betas={list(betas)} must be two numbers")
        for beta in betas:
            number("[0, 1)", betas=float(beta))
        for name, clip in (("generator_clip", generator_clip), ("discriminator_clip", discriminator_clip)):
            if clip is not None:
                number("(0, inf)", **{name: clip})
        augmentation.check(diff_augment)
        self.automatic_optimization = False
        self.save_hyperparameters()
        self.objective = adversarial.find(objective)
        self.generator = Generator(shape, latent, width, num_classes)
        self.discriminator = Discriminator(shape, width, num_classes, discriminator_batch_norm)
        self.averaged = AveragedModel(self.generator, multi_avg_fn=averaging(ema))
        self.averaged.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "GAN":
        """As usual, but the averaged generator is never trained: its batch norm goes by running statistics."""
        super().train(mode)
        self.averaged.eval()
        return self

    def latents(self, count: int, generator: Generators = None) -> Tensor:
        """(count, Z), standard normal, from one generator, one for each of them, or torch's global one."""
        whole(0, drawing.MOST_SAMPLES, count=count)
        return randn((count, self.hparams.latent), generator, self.device, torch.float32)

    @torch.no_grad()
    def sample(
        self, labels: Tensor | Sequence[int], generator: Generators = None, latents: Tensor | None = None
    ) -> Tensor:
        """A picture for each class: (B,) -> (B, C, H, W) uint8, from latents (B, Z) where given, else `latents`."""
        labels = drawing.class_labels(labels, self.hparams.num_classes, self.device)
        latents = self.latents(len(labels), generator) if latents is None else latents
        if latents.shape != (len(labels), self.hparams.latent):
            raise ValueError(
                f"latents of shape {tuple(latents.shape)} for {len(labels)} labels; give "
                f"({len(labels)}, {self.hparams.latent}), as `latents` draws them"
            )
        with evaluating(self.averaged):
            return to_pixels(self.averaged(latents.to(self.device, self.dtype), labels))

    def configure_callbacks(self) -> list:
        """None of its own: the first hook that Lightning calls, before it refuses to clip without saying how to."""
        clip = self.trainer.gradient_clip_val
        if clip:
            raise ValueError(
                f"gradient_clip_val={clip}: a GAN clips each network by itself; set the model's generator_clip and "
                "discriminator_clip in its place"
            )
        return []

    def setup(self, stage: str) -> None:
        if isinstance(self.trainer.strategy, DDPStrategy):
            # No step uses both networks' weights, and Lightning has no public way to say so to a strategy that is made.
            self.trainer.strategy._ddp_kwargs["find_unused_parameters"] = True
        drawing.check_data(self, self.trainer.datamodule)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        drawing.check_images(self, batch["image"])
        real, labels = from_pixels(batch["image"]), batch["label"]
        both = (batch_idx + 1) % self.hparams.discriminator_steps == 0
        generator_optimizer, discriminator_optimizer = self.optimizers()
        generator_schedule, discriminator_schedule = self.lr_schedulers()
        with torch.set_grad_enabled(both):
            fake = self.generator(self.latents(len(real)).to(self.dtype), labels)
        with discriminator_optimizer.toggle_model():
            self._step(discriminator_optimizer, discriminator_schedule, self.discriminator_loss(real, fake, labels))
        if both:
            with generator_optimizer.toggle_model():
                self._step(generator_optimizer, generator_schedule, self.generator_loss(real, fake, labels))
            self.averaged.update_parameters(self.generator)

    def _step(self, optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, loss: Tensor) -> None:
        self.manual_backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()

    def discriminator_loss(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        """Of pictures (B, C, H, W) in [-1, 1]; the generator gets no gradient of it."""
        penalized = self.hparams.penalty > 0
        real, fake = (self._seen(images.detach()).requires_grad_(penalized) for images in (real, fake))
        real_logits, fake_logits = self._logits(real, labels), self._logits(fake, labels)
        loss = self.objective.discriminator(real_logits, fake_logits)
        self.log_dict({"train/discriminator_loss": loss, "train/real_logit": real_logits.mean()}, prog_bar=True)
        self.log("train/fake_logit", fake_logits.mean(), prog_bar=True)
        if penalized:
            r1 = adversarial.gradient_penalty(real_logits, real)
            r2 = adversarial.gradient_penalty(fake_logits, fake)
            self.log_dict({"train/r1": r1, "train/r2": r2})
            loss = loss + self.hparams.penalty / 2 * (r1 + r2)
        return loss

    def generator_loss(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        """Of pictures (B, C, H, W) in [-1, 1]."""
        real_logits = None
        if self.objective.paired:
            with torch.no_grad():
                real_logits = self._logits(self._seen(real), labels)
        loss = self.objective.generator(real_logits, self._logits(self._seen(fake), labels))
        self.log("train/generator_loss", loss, prog_bar=True)
        return loss

    def _logits(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.discriminator(images.to(self.dtype), labels).float()

    def _seen(self, images: Tensor) -> Tensor:
        return augmentation.augment(images.float(), self.hparams.diff_augment)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip here: whatever the precision, gradients are no longer scaled."""
        for group in optimizer.param_groups:
            if group["clip"] is not None:
                nn.utils.clip_grad_norm_(group["params"], group["clip"])

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Held-out pictures: once their logits lie far below `train/real_logit`, the others are known by heart."""
        drawing.check_images(self, batch["image"])
        logits = self._logits(from_pixels(batch["image"]), batch["label"])
        distributed_mean.log_mean(self, "val/real_logit", logits.mean(), len(logits), prog_bar=True)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Nothing to do picture by picture: samples are measured as a whole (`callbacks.sample_quality`)."""

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """A picture for each label of the batch, (B, C, H, W) uint8; the run's seed and the "index" give its noise."""
        labels, generator = drawing.wanted(self, batch)
        return self.sample(labels, generator)

    def configure_optimizers(self):
        hp, batches = self.hparams, self._batches()
        # A fused step unscales gradients by itself, too late for clipping.
        fused = getattr(self.trainer.precision_plugin, "scaler", None) is None

        def optimized(name: str, network: nn.Module, lr: float, final: float, clip: float | None, steps: float) -> dict:
            groups = [{"params": list(network.parameters()), "clip": clip}]
            optimizer = torch.optim.Adam(groups, lr, betas=tuple(map(float, hp.betas)), fused=fused)

            def factor(step: int) -> float:
                return final + (1 - final) * warmup_cosine(step, total_steps(self.trainer, step, steps), hp.warmup)

            return scheduled(optimizer, factor, f"lr/{name}")

        return (
            optimized(
                "generator",
                self.generator,
                hp.generator_lr,
                hp.generator_final_lr,
                hp.generator_clip,
                batches / hp.discriminator_steps,
            ),
            optimized(
                "discriminator",
                self.discriminator,
                hp.discriminator_lr,
                hp.discriminator_final_lr,
                hp.discriminator_clip,
                batches,
            ),
        )

    def _batches(self) -> float:
        """How many batches the training will see."""
        batches, max_steps = self.trainer.estimated_stepping_batches, self.trainer.max_steps
        if max_steps == -1:
            return batches
        return min(batches, max_steps / (1 + 1 / self.hparams.discriminator_steps))


def averaging(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """An exponential moving average for `AveragedModel`. After n updates it decays by (1 + n) / (10 + n), until that
    reaches `decay`: otherwise the first, untrained weights would be seen in it for long."""

    @torch.no_grad()
    def update(averages: list[Tensor], weights: list[Tensor], count: Tensor) -> None:
        kept = min(decay, (1 + float(count)) / (10 + float(count)))
        for average, weight in zip(averages, weights, strict=True):
            average.lerp_(weight, 1 - kept)

    return update
