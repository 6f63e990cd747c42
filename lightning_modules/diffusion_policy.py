"""A diffusion policy: the next actions, denoised from Gaussian noise given what was just observed.

Chi et al. 2023, "Diffusion Policy: Visuomotor Policy Learning via Action Diffusion". Observe O steps, predict T
actions, carry out the first `n_action_steps` of them, observe again (receding horizon):

    time       t-1   t   t+1  ...  t+7  t+8  ...  t+15
    observe     o    o                                     O = 2
    predict          a    a   ...   a    a   ...   a       T = 16
    act              a    a   ...   a                      n_action_steps = 8

B batch, O observed steps, T predicted actions, A action dimensions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from checkpoints.onnx_function import ROWS, Input, OnnxFunction
from diffusion.distillation import Distillation, Pairs, teacher_pairs
from diffusion.loss import squared_errors
from diffusion.noise import Generators, randn
from diffusion.noise_schedule import MAX_TIMESTEPS, NoiseSchedule, SquaredCosineSchedule
from diffusion.prediction_type import PredictionType, VPrediction
from diffusion.sample_noise import noise_of, run_seed
from diffusion.samplers import DDIMSampler, Denoiser, OnStep, Sampler
from diffusion.scheduler import NoiseScheduler
from diffusion.thresholding import NoThresholding, Thresholding
from diffusion.timestep_distribution import TimestepDistribution, Uniform
from diffusion.timesteps import check_sampling_steps
from envs.observations import arrays, map_observation
from lightning_modules import data_contract
from lightning_modules.optimized_module import OptimizedModule
from lightning_modules.step_log import log_step
from lightning_modules.teacher import Teacher
from limits import number, whole
from metrics import distributed_mean
from networks.chunk_mlp import ChunkMLP
from networks.evaluation_mode import evaluating
from networks.normalized_features import NormalizedFeatures
from networks.observation_features import ObservationFeatures, ObservationShape
from networks.statistics_flag import StatisticsFlag
from optim.lr_schedule import LRSchedule, WarmupCosine
from optim.parameter_groups import OptimizerFactory


class DiffusionPolicy(OptimizedModule):
    """Trained on {"observation": (B, O, ...), "action": (B, T, A), "action_is_pad": (B, T)} in the units of the world.

    An observation is a tensor, or a dictionary of them by key; those of Push-T are pixels (`datamodules.pusht`), those
    of another robot come from `datamodules.demonstrations`. `action_is_pad` is True past the end of an episode; such
    actions are not learned: a policy that learns to repeat the last action stands still where people stopped, short of
    success.

    The network sees actions relative to an origin and divided by a scale, both by the `features` (by default the mean
    of the training data, and the root mean square at each of the T steps). Statistics and scale are part of the
    checkpoint, so `act` takes and gives the units of the world.

    Args:
        network: makes the denoiser from T, A and the number of features of an observation. Its `encode` takes features
            (B, dim) once for each observation; it is called as `network(x_t, t, encoded)` with actions (B, T, A) and
            steps (B,), and gives (B, T, A). `networks.chunk_mlp`, `networks.chunk_unet`, or your own.
        features: makes the features of an observation from O, the observation's shape and A
            (`networks.observation_features`).
        observation_shape: of one step, without O, by key where there are several; it follows from the data.
        action_dim: A; it follows from the data.
        n_obs_steps: O, observations that the policy sees.
        horizon: T, actions that it predicts.
        n_action_steps: how many of them are carried out before it looks again.
        noise_schedule: how much noise each step adds; by default `diffusion.noise_schedule.SquaredCosineSchedule`.
        num_train_timesteps: the number of its steps.
        prediction_type: what the network predicts; by default `diffusion.prediction_type.VPrediction`.
        timestep_distribution: which steps are trained at, and how often; by default
            `diffusion.timestep_distribution.Uniform`.
        distillation: trains the `sampling_steps` of a `DDIMSampler` to do what a trained policy does in more, from the
            noise of this one's temperature (`diffusion.distillation`); of the data, observations alone are then used.
            Statistics and scale are the teacher's. None learns from the actions.
        thresholding: of each predicted action chunk, whose actions have a root mean square of 1; none by default.
        sampler: of `act`; by default `diffusion.samplers.DDIMSampler`.
        sampling_steps: how many steps it visits.
        temperature: standard deviation of the noise that `act` starts from; below 1, actions vary less.
        noise_levels_per_sample: how many noise levels each observation of a batch is trained at.
        lr: the highest learning rate.
        optimizer: as `OptimizedModule`'s.
        lr_schedule: by default `optim.lr_schedule.WarmupCosine(warmup=500)`.
    """

    hub_task = "robotics"  # of its card (`checkpoints.model_card`)
    usage = "actions = model.act(observations)  # (O, ...) -> (T, A), in the units of the world"

    action_scale: Tensor

    def __init__(
        self,
        network: Callable[[int, int, int], nn.Module] = ChunkMLP,
        features: Callable[[int, Any, Any], ObservationFeatures] = NormalizedFeatures,
        observation_shape: list[int] | dict[str, list[int]] | None = None,
        action_dim: int | None = None,
        n_obs_steps: int = 2,
        horizon: int = 16,
        n_action_steps: int = 8,
        noise_schedule: NoiseSchedule | None = None,
        num_train_timesteps: int = 100,
        prediction_type: PredictionType | None = None,
        timestep_distribution: TimestepDistribution | None = None,
        distillation: Distillation | None = None,
        thresholding: Thresholding | None = None,
        sampler: Sampler | None = None,
        sampling_steps: int = 8,
        temperature: float = 1.0,
        noise_levels_per_sample: int = 4,
        lr: float = 1e-3,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        lr_schedule: LRSchedule | None = None,
    ):
        super().__init__(lr, optimizer, WarmupCosine(warmup=500) if lr_schedule is None else lr_schedule)
        whole(1, 2**14, horizon=horizon, noise_levels_per_sample=noise_levels_per_sample)
        whole(1, 1000, n_obs_steps=n_obs_steps)
        whole(1, MAX_TIMESTEPS, num_train_timesteps=num_train_timesteps)
        check_sampling_steps(sampling_steps, num_train_timesteps)
        number("[0, 1000]", temperature=temperature)
        if not 1 <= n_action_steps <= horizon:
            raise ValueError(f"n_action_steps={n_action_steps} must lie between 1 and horizon={horizon}")
        self.save_hyperparameters(
            {
                "observation_shape": observation_shape,
                "action_dim": action_dim,
                "n_obs_steps": n_obs_steps,
                "horizon": horizon,
                "n_action_steps": n_action_steps,
                "num_train_timesteps": num_train_timesteps,
                "sampling_steps": sampling_steps,
                "temperature": temperature,
                "noise_levels_per_sample": noise_levels_per_sample,
                "lr": lr,
            }
        )
        self.features = features(n_obs_steps, observation_shape, action_dim)
        self.network: Any = network(horizon, self.features.action_dim, self.features.dim)
        noise_schedule = SquaredCosineSchedule() if noise_schedule is None else noise_schedule
        self.scheduler = NoiseScheduler(noise_schedule(num_train_timesteps))
        self.prediction_type = VPrediction() if prediction_type is None else prediction_type
        self.prediction_type.check(self.scheduler)
        self.timestep_distribution = Uniform() if timestep_distribution is None else timestep_distribution
        self.thresholding = NoThresholding() if thresholding is None else thresholding
        self.sampler = DDIMSampler() if sampler is None else sampler
        ones = torch.ones(horizon, self.features.action_dim)  # until a training measures them
        self.register_buffer("action_scale", self.features.action_scale(ones))
        self.measured = StatisticsFlag()  # action_scale and what the features take of the data
        self._mean = distributed_mean.StepMean()
        self.distillation = distillation
        if distillation is not None:
            distillation.check(self.sampler)
        self._teacher: Teacher[DiffusionPolicy] | None = None  # of a training run alone

    @property
    def observation(self) -> str | None:
        """The kind of observation that an environment must give, such as "keypoints" (`envs.pusht.PushT`)."""
        return self.features.observation

    @property
    def observation_shape(self) -> ObservationShape:
        """Of one step, without O; by key where there are several."""
        return self.features.observation_shape

    @property
    def action_dim(self) -> int:
        """A."""
        return self.features.action_dim

    @torch.no_grad()
    def act(
        self,
        observations: Any,
        generator: Generators = None,
        temperature: float | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor | np.ndarray:
        """The next T actions: (B, O, ...) -> (B, T, A), or (O, ...) -> (T, A), in the units of the world.

        Takes a tensor or an array of numbers of any precision, or a dictionary of these by key, as the policy was
        trained on. Gives float32: for tensors a tensor on their device, for arrays an array.
        Noise comes from `generator`: one for the batch; or a list with one for each observation, which then acts the
        same in every batch up to rounding (`diffusion.noise.generators`); or, without, torch's global one. Modes
        (train, eval) are left as they were. `temperature` is as the constructor's, which is its default.

        `on_step` is called as `on_step(number, actions)` after each step of the sampler with the actions (B, T, A)
        predicted there, in the units of the world: to watch them form.

        Raises ValueError for observations of another shape, or with numbers that are not finite.
        """
        temperature = self.hparams.temperature if temperature is None else temperature
        number("[0, 1000]", temperature=temperature)
        observed = self._checked(observations)
        first, shape = arrays(observed)[0], arrays(self.observation_shape)[0]
        batch = first.shape[: first.ndim - 1 - len(shape)]  # (B,) or ()
        batched = observed if batch else map_observation(lambda values: values[None], observed)
        noise = randn((*(batch or (1,)), *self._chunk), generator, self.action_scale.device, torch.float32)
        with evaluating(self):
            actions = self._act(batched, temperature * noise, self.sampler, generator, on_step)
        actions = actions.reshape(*batch, *actions.shape[1:])
        given = arrays(observations)[0]
        return actions.to(given.device) if isinstance(given, Tensor) else actions.cpu().numpy()

    def _checked(self, observations: Any) -> Any:
        """Observations as tensors on this device, float32 but for images. Raises ValueError where they do not fit."""
        shapes = self.observation_shape
        if isinstance(shapes, Mapping) and not (isinstance(observations, Mapping) and {*shapes} <= {*observations}):
            given = ", ".join(map(str, observations)) if isinstance(observations, Mapping) else "a single array"
            raise ValueError(f"this policy observes {', '.join(shapes)}, each by its key; got {given}")

        def checked(shape: Sequence[int], values: Any) -> Tensor:
            tensor = torch.as_tensor(values, device=self.action_scale.device)
            tensor = tensor if tensor.dtype == torch.uint8 and len(shape) == 3 else tensor.float()
            expected = (self.hparams.n_obs_steps, *shape)
            if tensor.shape[-len(expected) :] != expected or tensor.ndim - len(expected) not in (0, 1):
                numbers = f"{self.observation or 'observations'} ({' x '.join(map(str, shape))} numbers each)"
                raise ValueError(
                    f"this policy observes {expected[0]} steps of {numbers}, as "
                    f"envs.action_chunking.ActionChunking keeps them: shape {expected} for one world, "
                    f"(B, {', '.join(map(str, expected))}) for several; got observations of shape {tuple(tensor.shape)}"
                )
            if not bool(tensor.isfinite().all()):
                raise ValueError("the observations hold numbers that are NaN or infinite; give the units of the world")
            return tensor

        return map_observation(checked, shapes, observations)

    @property
    def _chunk(self) -> tuple[int, int]:
        """(T, A)."""
        return self.hparams.horizon, self.action_dim

    def _act(
        self,
        observations: Any,
        noise: Tensor,
        sampler: Sampler,
        generator: Generators = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Actions (B, T, A) from observations (B, O, ...) and the noise (B, T, A) that denoising begins with."""
        perceived = self.features.perceive(observations)
        denoise = self._denoiser(self._context(perceived))

        def in_world(x0: Tensor) -> Tensor:
            return self.features.within_bounds(x0 * self.action_scale + self.features.origin(perceived))

        watch = None if on_step is None else lambda number, x0: on_step(number, in_world(x0))
        return in_world(sampler(denoise, noise, self.scheduler, self.hparams.sampling_steps, generator, watch))

    def _denoiser(self, context: Tensor) -> Denoiser:
        """Predicts x_0 from x_t and t, given what the network encoded of the observations."""

        def denoise(x: Tensor, t: Tensor) -> Tensor:
            return self.thresholding(self.prediction_type.x0(self.scheduler, x, self._predict(x, t, context), t))

        return denoise

    def onnx_functions(self) -> dict[str, OnnxFunction]:
        """`act` as a whole, as `checkpoints.onnx_function.OnnxExportable` says."""
        hp, shapes = self.hparams, self.observation_shape
        sampler = self.sampler.with_given_timesteps(self.scheduler, hp.sampling_steps)
        keys = list(shapes) if isinstance(shapes, Mapping) else None

        def act(noise: Tensor, *values: Tensor) -> Tensor:
            observed = values[0] if keys is None else dict(zip(keys, values, strict=True))
            return self._act(observed, hp.temperature * noise, sampler)

        def example(shape: Sequence[int]) -> Input:
            size, steps = (ROWS, hp.n_obs_steps, *shape), f"the last {hp.n_obs_steps} steps, the newest last; "
            if len(shape) == 3:
                return Input(torch.randint(256, size, dtype=torch.uint8), f"{steps}pixels from 0 to 255")
            return Input(512 * torch.rand(size), f"{steps}{self.observation or 'numbers'} in the units of the world")

        names = keys or ["observation"]
        observed = {name: example(shape) for name, shape in zip(names, arrays(shapes), strict=True)}
        output = f"(batch, {hp.horizon}, {self.action_dim}) float32: the next actions, in the units of the world"
        return {
            "": OnnxFunction(
                act,
                {"noise": Input(torch.randn(ROWS, *self._chunk), "standard normal draws"), **observed},
                {"action": f"{output}; carry out {hp.n_action_steps} of them, then observe again"},
                {"n_obs_steps": str(hp.n_obs_steps), "n_action_steps": str(hp.n_action_steps)},
            )
        }

    def _context(self, observations: Any) -> Tensor:
        """Observations (B, O, ...) as the features perceive them, encoded for the network."""
        return self.network.encode(self.features(observations).to(self.dtype))

    def _predict(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """The network's prediction, in float32 whatever its layers compute in: the maths around it stays exact."""
        return self.network(x.to(self.dtype), t, context).float()

    def setup(self, stage: str) -> None:
        """Take statistics and the actions' scale from a teacher or from the data, unless the weights brought theirs."""
        if stage == "fit" and self.distillation is not None:
            self._teacher = Teacher(self.distillation, DiffusionPolicy, self, ("n_obs_steps", "horizon"))
            self._take_statistics(self._teacher.on(torch.device("cpu")))
        if stage != "fit" or self.measured.known:
            return
        data = data_contract.demonstrations(self)
        self.features.measure(data.observation_statistics(), data.action_statistics())
        root_mean_square = data.action_scale(self.features.origin)
        self._check_window("horizon", len(root_mean_square), self.hparams.horizon)
        self.action_scale.copy_(self.features.action_scale(root_mean_square))
        self.measured.set()

    def _take_statistics(self, teacher: "DiffusionPolicy") -> None:
        given, own = (map_observation(list, policy.observation_shape) for policy in (teacher, self))
        if (given, teacher.action_dim, type(teacher.features)) != (own, self.action_dim, type(self.features)):
            raise ValueError(
                f"the teacher sees {type(teacher.features).__name__} of observation_shape={given} and gives "
                f"{teacher.action_dim} actions, this policy {type(self.features).__name__}, {own} and {self.action_dim}"
            )
        self.features.load_state_dict(teacher.features.state_dict())
        self.action_scale.copy_(teacher.action_scale)
        self.measured.set()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        loss = self._loss(batch, self.timestep_distribution, self._teacher)
        log_step(self, "train/loss", loss, prog_bar=True)
        weighted = loss * self._mean.weight(self, (~batch["action_is_pad"]).sum())
        own = self.features.loss(batch)
        if own is None:
            return weighted
        log_step(self, "train/features_loss", own, prog_bar=True)
        return weighted + own

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self._mean.settle(self, optimizer)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._log_heldout("val", batch, batch_idx)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._log_heldout("test", batch, batch_idx)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor | np.ndarray:
        """The actions (B, T, A) for each observation; the run's seed and the "index" give their noise."""
        return self.act(batch["observation"], noise_of(batch, run_seed()))

    def _log_heldout(self, stage: str, batch: dict[str, Tensor], batch_idx: int) -> None:
        """The loss, with the same noise at every validation so that losses can be compared.

        Each window's noise comes from its "index", whatever batch or process it is in; without an index it comes from
        the batch's number.
        """
        noise = noise_of(batch, 0) or torch.Generator().manual_seed(batch_idx)
        loss = self._loss(batch, Uniform(), generator=noise)
        distributed_mean.log_mean(self, f"{stage}/loss", loss, int((~batch["action_is_pad"]).sum()), prog_bar=True)
        if (own := self.features.loss(batch)) is not None:
            distributed_mean.log_mean(self, f"{stage}/features_loss", own, len(batch["action"]), prog_bar=True)

    def _loss(
        self,
        batch: dict[str, Tensor],
        distribution: TimestepDistribution,
        teacher: "Teacher[DiffusionPolicy] | None" = None,
        generator: Generators = None,
    ) -> Tensor:
        self._check_window("horizon", batch["action"].shape[1], self.hparams.horizon)
        observation = self.features.perceive(self._batched(batch["observation"]))
        repeats = self.hparams.noise_levels_per_sample
        x0 = (batch["action"].float() - self.features.origin(observation)) / self.action_scale  # (B, T, A)
        context, is_real = self._context(observation), ~batch["action_is_pad"][..., None]
        noise = randn((len(x0), repeats, *x0.shape[1:]), generator, x0.device, x0.dtype).flatten(0, 1)
        t = distribution(self.scheduler.num_train_timesteps, (len(x0), repeats), generator, x0.device).flatten()
        x0, context, is_real = (x.repeat_interleave(repeats, 0) for x in (x0, context, is_real))
        if teacher is not None:
            x0, noise, t = self._taught(teacher.on(x0.device), observation, noise)
            context, is_real = (x.repeat(len(t) // len(x), *[1] * (x.ndim - 1)) for x in (context, is_real))
        errors = squared_errors(
            lambda x, t: self._predict(x, t, context), self.scheduler, self.prediction_type, x0, noise, t
        )  # (B * noise_levels_per_sample, T, A)
        return (errors * is_real).sum() / (errors.shape[-1] * is_real.sum()).clamp(min=1)

    def _taught(self, teacher: "DiffusionPolicy", observation: Any, noise: Tensor) -> Pairs:
        """What a teacher does from this noise (B * noise_levels_per_sample, T, A) and observations (B, O, ...)."""
        assert self.distillation is not None  # else there is no teacher
        with torch.no_grad():
            context = teacher._context(observation).repeat_interleave(self.hparams.noise_levels_per_sample, 0)
        visited = self.sampler.timesteps(self.scheduler, self.hparams.sampling_steps)
        start, substeps = self.hparams.temperature * noise, self.distillation.substeps
        return teacher_pairs(teacher._denoiser(context), start, self.scheduler, visited, substeps)

    def _batched(self, observation: Any) -> Any:
        """A batch's observations, float but for images. Raises ValueError where they are not what the model sees."""
        for values in arrays(observation):
            self._check_window("n_obs_steps", values.shape[1], self.hparams.n_obs_steps)
        shape = map_observation(lambda values: list(values.shape[2:]), observation)
        own = map_observation(list, self.observation_shape)
        if shape != own:
            raise ValueError(f"the model has observation_shape={own}, its data {shape}; train it on data that it fits")
        return map_observation(
            lambda _, x: x if x.dtype == torch.uint8 else x.float(), self.observation_shape, observation
        )

    @staticmethod
    def _check_window(name: str, of_data: int, expected: int) -> None:
        if of_data != expected:
            raise ValueError(f"the model has {name}={expected}, its data {name}={of_data}; set both to the same")
