"""Denoising diffusion of pictures, with classes to ask for (Ho et al. 2020; Ho & Salimans 2022).

    picture ─► [-1, 1] ─► noised to a random step ─► network, told the class or nothing ─► velocity ─► squared error
    noise ─► network with and without the class ─► guided ─► x_0 ─► thresholded ─► step to less noise ─► ... ─► picture

The maths is in `diffusion/`, which the policy for Push-T shares (`lightning_modules.diffusion_policy`).

B batch, C channels, H height, W width, K classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from diffusion import guidance, objectives, samplers, scheduler, thresholding
from diffusion.noise import Generators, randint, randn
from diffusion.sample_noise import noise_of
from lightning_modules import drawing
from lightning_modules.choices import choose
from lightning_modules.sampling_steps import check_sampling_steps
from limits import number, whole
from metrics import distributed_mean as distributed_mean
from networks.evaluation import evaluating
from networks.image_range import from_pixels, to_pixels
from networks.unet2d import UNet2D
from optim.lr_schedule import OwnRates, decay_matrices, fused, with_warmup_cosine

LEVELS = 4  # parts of the T steps, whose losses are logged by themselves


class DDPM(OwnRates):
    """Trained on {"image": (B, C, H, W) uint8, "label": (B,)}; draws pictures by `sample`.

    Args:
        shape: C, H, W of the pictures.
        num_classes: K.
        widths, blocks, attention, dropout: the network's (`networks.unet2d.UNet2D`).
        schedule: of the noise, "linear", "cosine" or "squared-cosine" (`diffusion.scheduler`).
        train_steps: T, its steps.
        objective: what the network predicts, "noise", "x0" or "v" (`diffusion.objectives`).
        min_snr: gamma of min-SNR weighting (`diffusion.objectives.min_snr_weight`); None weighs all errors alike. With
            "v" it gives the noisiest steps, where the class is decided, almost no weight.
        label_dropout: share of the training pictures that come without their class.
        scale: guidance scale of `sample`; 0 leaves the class out, 1 is the conditional model as it is.
        interval: first and last step at which `sample` guides; None for all.
        threshold: "none", "static" or "dynamic" (`diffusion.thresholding`).
        sampler: "ddpm", "ddim" or "dpm-solver" (`diffusion.samplers`).
        sampling_steps: network evaluations of `sample`, of a doubled batch where it guides.
        num_samples: how many pictures `predict` draws, of all classes in turn.
        lr: AdamW's highest learning rate; from there it falls to 0 along a cosine until the last step, or the end of
            the trainer's `max_time`. A training without an end goes on at this rate.
        weight_decay: on weight matrices only.
        warmup: share of all steps (of 10,000 in a training without an end) in which the learning rate rises linearly
            from 0.
    """

    def __init__(
        self,
        shape: Sequence[int] = (3, 32, 32),
        num_classes: int = 10,
        widths: Sequence[int] = (128, 192, 256),
        blocks: int = 1,
        attention: int = 1,
        dropout: float = 0.0,
        schedule: str = "squared-cosine",
        train_steps: int = 1000,
        objective: str = "v",
        min_snr: float | None = None,
        label_dropout: float = 0.1,
        scale: float = 2.0,
        interval: tuple[int, int] | None = None,
        threshold: str = "dynamic",
        sampler: str = "dpm-solver",
        sampling_steps: int = 20,
        num_samples: int = 100,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup: float = 0.02,
    ):
        super().__init__()
        whole(1, drawing.MOST_CLASSES, num_classes=num_classes)
        whole(1, drawing.MOST_SAMPLES, num_samples=num_samples)
        whole(1, scheduler.MOST_STEPS, train_steps=train_steps)
        check_sampling_steps(sampling_steps, train_steps)
        number("[0, 1)", label_dropout=label_dropout, warmup=warmup)
        number("[0, inf)", lr=lr, weight_decay=weight_decay)
        if min_snr is not None:
            number("(0, 1e9]", min_snr=min_snr)
        self.save_hyperparameters()
        self.objective = choose("objective", objective, objectives.OBJECTIVES)
        betas = choose("schedule", schedule, scheduler.SCHEDULES)
        for name, value, choices in (
            ("threshold", threshold, thresholding.THRESHOLDS),
            ("sampler", sampler, samplers.SAMPLERS),
        ):
            choose(name, value, choices)
        self.scheduler = scheduler.NoiseScheduler(betas(train_steps))
        self._check_guidance(scale)
        if interval is not None and interval[1] >= train_steps:
            raise ValueError(f"interval={interval} must end before train_steps={train_steps}: steps count from 0")
        self.network = UNet2D(shape, num_classes, widths, blocks, attention, dropout)

    def _check_guidance(self, scale: float) -> None:
        guidance.check(scale, self.hparams.interval)
        if self.hparams.label_dropout == 0 and scale != 1:
            raise ValueError(
                f"label_dropout=0 trains no model without classes, which scale={scale} needs; set scale to 1, or "
                "label_dropout to 0.1 and train"
            )

    @torch.no_grad()
    def sample(
        self,
        labels: Tensor | Sequence[int],
        scale: float | None = None,
        threshold: str | None = None,
        steps: int | None = None,
        sampler: str | None = None,
        generator: Generators = None,
        on_step: samplers.OnStep | None = None,
    ) -> Tensor:
        """A picture for each class: (B,) -> (B, C, H, W) uint8. What is not given is as the model was configured.

        Noise comes from `generator`: one for the batch; or a list with one for each picture, which is then the same in
        every batch up to rounding (`diffusion.noise.generators`); or, without, torch's global one. Modes (train, eval)
        are left as they were. `on_step(number, x0)` sees the prediction after each step, (B, C, H, W) in [-1, 1] where
        thresholded.
        """
        hp = self.hparams
        keep_within = choose("threshold", hp.threshold if threshold is None else threshold, thresholding.THRESHOLDS)
        walk = choose("sampler", hp.sampler if sampler is None else sampler, samplers.SAMPLERS)
        scale = hp.scale if scale is None else scale
        self._check_guidance(scale)
        device = self.scheduler.betas.device
        labels = drawing.class_labels(labels, hp.num_classes, device)
        output = guidance.guided(self._predict, labels, hp.num_classes, scale, hp.interval)

        def denoise(x: Tensor, t: Tensor) -> Tensor:
            return keep_within(self.objective.x0(self.scheduler, x, output(x, t), t))

        x = randn((len(labels), *hp.shape), generator, device, torch.float32)
        if not len(labels):
            return to_pixels(x)
        with evaluating(self):
            return to_pixels(
                walk(denoise, x, self.scheduler, hp.sampling_steps if steps is None else steps, generator, on_step)
            )

    def _predict(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """The network's output, in float32 whatever the precision of its layers: the maths around it stays exact."""
        return self.network(x.to(self.dtype), t, labels).float()

    def setup(self, stage: str) -> None:
        drawing.check_data(self, self.trainer.datamodule)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        loss = self.loss(batch["image"], batch["label"])
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """What training lowers, of pictures (B, C, H, W) uint8 and classes (B,), some of which are dropped."""
        labels = guidance.drop_labels(labels, self.hparams.num_classes, self.hparams.label_dropout)
        errors, t = self._errors(images, labels)
        if self.hparams.min_snr is None:
            return errors.mean()
        return (objectives.min_snr_weight(self.scheduler, self.objective, t, self.hparams.min_snr) * errors).mean()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._log_heldout("val", batch, batch_idx)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._log_heldout("test", batch, batch_idx)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """A picture for each label of the batch, (B, C, H, W) uint8; the run's seed and the "index" give its noise."""
        labels, generator = drawing.wanted(self, batch)
        return self.sample(labels, generator=generator)

    def _errors(self, images: Tensor, labels: Tensor, generator: Generators = None) -> tuple[Tensor, Tensor]:
        """Mean squared error of each picture's prediction and the random step it was noised to, (B,) each."""
        drawing.check_images(self, images)
        x0 = from_pixels(images)
        t = randint(self.scheduler.steps, (len(x0),), generator, x0.device)
        noise = randn(x0.shape, generator, x0.device, x0.dtype)
        errors = objectives.errors(
            lambda x, t: self._predict(x, t, labels), self.scheduler, self.objective, x0, noise, t
        )
        return errors.mean((1, 2, 3)), t

    def _log_heldout(self, stage: str, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Errors, not weighed, of all steps and of each of LEVELS equal parts of them, from little noise to much.

        The same noise at every validation, so that losses can be compared, and for each picture by its "index",
        whatever batch or process it is in; by its batch where it has none.
        """
        noise = noise_of(batch, 0) or torch.Generator().manual_seed(batch_idx)
        errors, t = self._errors(batch["image"], batch["label"], noise)
        distributed_mean.log_mean(self, f"{stage}/loss", errors.mean(), len(errors), prog_bar=True)
        level = t * LEVELS // self.scheduler.steps
        for part in range(LEVELS):  # also where a batch has none of them: processes must log the same
            own = errors[level == part]
            distributed_mean.log_mean(self, f"{stage}/loss/level_{part}", own.sum() / max(len(own), 1), len(own))

    def configure_optimizers(self):
        hp = self.hparams
        optimizer = torch.optim.AdamW(
            decay_matrices(self, hp.weight_decay), lr=hp.lr, betas=(0.9, 0.99), fused=fused(self.trainer)
        )
        return with_warmup_cosine(optimizer, self.trainer, hp.warmup)
