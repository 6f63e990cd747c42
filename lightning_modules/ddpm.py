"""Denoising diffusion of images, with classes to ask for (Ho et al. 2020; Ho & Salimans 2022).

    image ─► [-1, 1] ─► noised to a random step ─► network, told the class or nothing ─► velocity ─► squared error
    noise ─► network with and without the class ─► guided ─► x_0 ─► thresholded ─► step to less noise ─► ... ─► image

The maths is in `diffusion/`, which the policy for Push-T shares (`lightning_modules.diffusion_policy`).

B batch, C channels, H height, W width, K classes.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from checkpoints.onnx_function import ROWS, Input, OnnxFunction
from diffusion import guidance
from diffusion.loss import min_snr_weight, squared_errors
from diffusion.noise import Generators, randint, randn
from diffusion.noise_schedule import MAX_TIMESTEPS, NoiseSchedule, SquaredCosineSchedule
from diffusion.prediction_type import PredictionType, VPrediction
from diffusion.sample_noise import noise_of
from diffusion.samplers import Denoiser, DPMSolver, OnStep, Sampler
from diffusion.scheduler import NoiseScheduler
from diffusion.thresholding import DynamicThresholding, Thresholding
from diffusion.timesteps import check_sampling_steps
from lightning_modules.data_contract import check_image_data
from lightning_modules.named_classes import NamedClasses
from lightning_modules.optimized_module import OptimizedModule
from lightning_modules.step_log import log_step
from limits import number, whole
from metrics import distributed_mean
from networks.class_labels import MOST_CLASSES, MOST_SAMPLES, class_labels, wanted
from networks.class_names import ClassNames
from networks.evaluation_mode import evaluating
from networks.image_range import from_pixels, to_pixels
from networks.image_shape import check_images
from networks.unet2d import UNet2D
from optim.lr_schedule import LRSchedule, WarmupCosine
from optim.parameter_groups import OptimizerFactory

LEVELS = 4  # equal parts of the T steps; the loss of each is logged separately


class DDPM(NamedClasses, OptimizedModule):
    """Trained on {"image": (B, C, H, W) uint8, "label": (B,)}; draws images by `sample`.

    Args:
        network: makes the network from `shape` and `num_classes`; it is called as `network(x_t, t, labels)`:
            images (B, C, H, W), steps (B,) and classes (B,) from 0 to K, where K stands for no class -> (B, C, H, W).
        shape: C, H, W of the images.
        num_classes: K.
        noise_schedule: how much noise each step adds; by default `diffusion.noise_schedule.SquaredCosineSchedule`.
        num_train_timesteps: T, the number of its steps.
        prediction_type: what the network predicts; by default `diffusion.prediction_type.VPrediction`.
        min_snr_gamma: gamma of min-SNR weighting (`diffusion.loss.min_snr_weight`); None weights all errors alike. With
            a predicted velocity it gives the noisiest steps, where the class is decided, almost no weight.
        condition_dropout: share of the training images that come without their class.
        guidance_scale: of `sample`; 0 leaves the class out, 1 is the conditional model as it is.
        guidance_interval: first and last step at which `sample` guides; None for all.
        thresholding: of each predicted x_0; by default `diffusion.thresholding.DynamicThresholding`.
        sampler: by default `diffusion.samplers.DPMSolver`.
        sampling_steps: steps that the sampler visits: one network evaluation each, on a doubled batch where it guides.
        num_samples: how many images `predict` draws, of all classes in turn.
        lr: the highest learning rate.
        optimizer: as `OptimizedModule`'s.
        lr_schedule: by default `optim.lr_schedule.WarmupCosine(warmup=0.02)`.
    """

    hub_task = "unconditional-image-generation"  # of its card (`checkpoints.model_card`)
    usage = "images = model.sample(labels=[0, 1, 2])  # (B,) -> (B, C, H, W) uint8"

    def __init__(
        self,
        network: Callable[[Sequence[int], int], nn.Module] = UNet2D,
        shape: Sequence[int] = (3, 32, 32),
        num_classes: int = 10,
        noise_schedule: NoiseSchedule | None = None,
        num_train_timesteps: int = 1000,
        prediction_type: PredictionType | None = None,
        min_snr_gamma: float | None = None,
        condition_dropout: float = 0.1,
        guidance_scale: float = 2.0,
        guidance_interval: tuple[int, int] | None = None,
        thresholding: Thresholding | None = None,
        sampler: Sampler | None = None,
        sampling_steps: int = 20,
        num_samples: int = 100,
        lr: float = 1e-3,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        lr_schedule: LRSchedule | None = None,
    ):
        super().__init__(lr, optimizer, WarmupCosine(warmup=0.02) if lr_schedule is None else lr_schedule)
        whole(1, MOST_CLASSES, num_classes=num_classes)
        whole(1, MOST_SAMPLES, num_samples=num_samples)
        whole(1, MAX_TIMESTEPS, num_train_timesteps=num_train_timesteps)
        check_sampling_steps(sampling_steps, num_train_timesteps)
        number("[0, 1)", condition_dropout=condition_dropout)
        if min_snr_gamma is not None:
            number("(0, 1e9]", min_snr_gamma=min_snr_gamma)
        self.save_hyperparameters(
            {
                "shape": tuple(shape),
                "num_classes": num_classes,
                "num_train_timesteps": num_train_timesteps,
                "min_snr_gamma": min_snr_gamma,
                "condition_dropout": condition_dropout,
                "guidance_scale": guidance_scale,
                "guidance_interval": guidance_interval,
                "sampling_steps": sampling_steps,
                "num_samples": num_samples,
                "lr": lr,
            }
        )
        self._check_guidance(guidance_scale)
        if guidance_interval is not None and guidance_interval[1] >= num_train_timesteps:
            raise ValueError(
                f"guidance_interval={guidance_interval} must end before num_train_timesteps={num_train_timesteps}: "
                "steps count from 0"
            )
        noise_schedule = SquaredCosineSchedule() if noise_schedule is None else noise_schedule
        self.scheduler = NoiseScheduler(noise_schedule(num_train_timesteps))
        self.prediction_type = VPrediction() if prediction_type is None else prediction_type
        self.thresholding = DynamicThresholding() if thresholding is None else thresholding
        self.sampler = DPMSolver() if sampler is None else sampler
        self.network = network(shape, num_classes)
        self.names = ClassNames()

    def _check_guidance(self, guidance_scale: float) -> None:
        guidance.check_guidance(guidance_scale, self.hparams.guidance_interval)
        if self.hparams.condition_dropout == 0 and guidance_scale != 1:
            raise ValueError(
                f"condition_dropout=0 trains no model without classes, which guidance_scale={guidance_scale} needs; "
                "set guidance_scale to 1, or condition_dropout to 0.1 and train"
            )

    @torch.no_grad()
    def sample(
        self,
        labels: Tensor | Sequence[int],
        guidance_scale: float | None = None,
        thresholding: Thresholding | None = None,
        sampler: Sampler | None = None,
        sampling_steps: int | None = None,
        generator: Generators = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """An image for each class: (B,) -> (B, C, H, W) uint8. Defaults are the constructor's.

        Modes (train, eval) are left as they were.

        Args:
            labels: classes (B,).
            guidance_scale: as the constructor's, like the next three.
            thresholding: of each predicted x_0.
            sampler: walks from noise to an image.
            sampling_steps: how many steps it visits.
            generator: where noise comes from: one for the batch; or a list with one for each image, which is then the
                same in every batch up to rounding (`diffusion.noise.generators`); or, without, torch's global one.
            on_step: is called as `on_step(number, x0)` after each step with the prediction there, (B, C, H, W), in
                [-1, 1] where thresholded.
        """
        hp = self.hparams
        thresholding = self.thresholding if thresholding is None else thresholding
        sampler = self.sampler if sampler is None else sampler
        guidance_scale = hp.guidance_scale if guidance_scale is None else guidance_scale
        self._check_guidance(guidance_scale)
        steps = hp.sampling_steps if sampling_steps is None else sampling_steps
        check_sampling_steps(steps, hp.num_train_timesteps)
        device = self.scheduler.betas.device
        labels = class_labels(labels, hp.num_classes, device)
        denoise = self._denoiser(labels, guidance_scale, thresholding)
        x = randn((len(labels), *hp.shape), generator, device, torch.float32)
        if not len(labels):
            return to_pixels(x)
        with evaluating(self):
            return to_pixels(sampler(denoise, x, self.scheduler, steps, generator, on_step))

    def _denoiser(self, labels: Tensor, guidance_scale: float, thresholding: Thresholding) -> Denoiser:
        """Predicts x_0 from x_t and t, guided towards classes (B,)."""
        null, interval = self.hparams.num_classes, self.hparams.guidance_interval
        predicted = guidance.guided(self._predict, labels, null, guidance_scale, interval)

        def denoise(x: Tensor, t: Tensor) -> Tensor:
            return thresholding(self.prediction_type.x0(self.scheduler, x, predicted(x, t), t))

        return denoise

    def onnx_functions(self) -> dict[str, OnnxFunction]:
        """`sample` with the constructor's settings, as `checkpoints.onnx_function.OnnxExportable` says."""
        hp = self.hparams
        size, steps = " x ".join(map(str, hp.shape)), hp.sampling_steps
        sampler = self.sampler.with_given_timesteps(self.scheduler, steps)

        def draw(noise: Tensor, labels: Tensor) -> Tensor:
            denoise = self._denoiser(labels, hp.guidance_scale, self.thresholding)
            return to_pixels(sampler(denoise, noise, self.scheduler, steps))

        inputs = {
            "noise": Input(torch.randn(ROWS, *hp.shape), "standard normal draws"),
            "labels": Input(torch.randint(hp.num_classes, (ROWS,)), f"the classes, from 0 to {hp.num_classes - 1}"),
        }
        made_by = f"{type(self.sampler).__name__} in {steps} steps, guidance scale {hp.guidance_scale:g}"
        output = f"(batch, {size}) uint8: pixels from 0 to 255, by {made_by}"
        return {"": OnnxFunction(draw, inputs, {"image": output})}

    def _predict(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """The network's prediction, in float32 whatever its layers compute in: the maths around it stays exact."""
        return self.network(x.to(self.dtype), t, labels).float()

    def setup(self, stage: str) -> None:
        check_image_data(self, self.hparams.shape, self.hparams.num_classes)
        self.take_class_names(stage)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        loss = self.loss(batch["image"], batch["label"])
        log_step(self, "train/loss", loss, prog_bar=True)
        return loss

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """The training loss of images (B, C, H, W) uint8 and classes (B,), some of which are dropped."""
        labels = guidance.drop_labels(labels, self.hparams.num_classes, self.hparams.condition_dropout)
        errors, t = self._errors(images, labels)
        gamma = self.hparams.min_snr_gamma
        if gamma is None:
            return errors.mean()
        return (min_snr_weight(self.scheduler, self.prediction_type, t, gamma) * errors).mean()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._log_heldout("val", batch, batch_idx)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._log_heldout("test", batch, batch_idx)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """An image for each label of the batch, (B, C, H, W) uint8; the run's seed and the "index" give its noise."""
        labels, generator = wanted(batch, type(self).__name__)
        return self.sample(labels, generator=generator)

    def _errors(self, images: Tensor, labels: Tensor, generator: Generators = None) -> tuple[Tensor, Tensor]:
        """Mean squared error of each image's prediction and the random step it was noised to, (B,) each."""
        check_images(images, self.hparams.shape)
        x0 = from_pixels(images)
        t = randint(self.scheduler.num_train_timesteps, (len(x0),), generator, x0.device)
        noise = randn(x0.shape, generator, x0.device, x0.dtype)
        errors = squared_errors(
            lambda x, t: self._predict(x, t, labels), self.scheduler, self.prediction_type, x0, noise, t
        )
        return errors.mean((1, 2, 3)), t

    def _log_heldout(self, stage: str, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Unweighted errors of all steps and of each of LEVELS equal parts of them, from little noise to much.

        The noise is the same at every validation, so that losses can be compared. Each image's noise comes from its
        "index", whatever batch or process it is in; without an index it comes from the batch's number.
        """
        noise = noise_of(batch, 0) or torch.Generator().manual_seed(batch_idx)
        errors, t = self._errors(batch["image"], batch["label"], noise)
        distributed_mean.log_mean(self, f"{stage}/loss", errors.mean(), len(errors), prog_bar=True)
        level = t * LEVELS // self.scheduler.num_train_timesteps
        for part in range(LEVELS):  # also a part that the batch lacks: all processes must log the same names
            own = errors[level == part]
            distributed_mean.log_mean(self, f"{stage}/loss/level_{part}", own.sum() / max(len(own), 1), len(own))
