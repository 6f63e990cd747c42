"""A diffusion policy: the next actions, denoised from Gaussian noise given what was just observed.

Chi et al. 2023, "Diffusion Policy: Visuomotor Policy Learning via Action Diffusion". Observe O steps, predict T
actions, carry out the first `n_action_steps` of them, observe again (receding horizon):

    time       t-1   t   t+1  ...  t+7  t+8  ...  t+15
    observe     o    o                                     O = 2
    predict          a    a   ...   a    a   ...   a       T = 16
    act              a    a   ...   a                      n_action_steps = 8

B batch, O observed steps, T predicted actions.
"""

import inspect

import numpy as np
import torch
from torch import Tensor, nn

from diffusion import objectives, samplers
from diffusion.noise import Generators, randint, randn
from diffusion.sample_noise import noise_of, run_seed
from diffusion.scheduler import MOST_STEPS, NoiseScheduler, squared_cosine_betas
from envs import t_block
from lightning_modules.choices import choose
from lightning_modules.sampling_steps import check_sampling_steps
from limits import number, whole
from metrics import distributed_mean as distributed_mean
from networks.chunk_mlp import ChunkMLP
from networks.chunk_unet import ChunkUNet
from networks.evaluation import evaluating
from networks.pusht_features import PushTFeatures
from networks.statistics_flag import StatisticsFlag
from optim.lr_schedule import OwnRates, decay_matrices, fallen, fused, scheduled, total_steps

NETWORKS = {"mlp": ChunkMLP, "unet": ChunkUNet}
KEYPOINTS = 18


class DiffusionPolicy(OwnRates):
    """Trained on {"observation": (B, O, 18), "action": (B, T, 2), "taken": (B, T)} in pixels (see `datamodules.pusht`).

    Actions past the end of an episode were not taken and are not learned: a policy that learns to repeat the last
    action stands still where people stopped, short of success.

    The network sees actions relative to where the pointer is, divided by their root mean square at each of the T steps
    (by 1 at steps that no action of the data reaches: these are not learned);
    both the division and the features of the observation are part of the checkpoint, so `act` takes and gives pixels.

    Args:
        network: the denoiser, "mlp" or "unet".
        network_args: further arguments of its class (`networks.chunk_mlp`, `networks.chunk_unet`).
        n_obs_steps: O, observations that the policy sees.
        horizon: T, actions that it predicts.
        n_action_steps: how many of them are carried out before it looks again.
        objective: what the network predicts, "noise", "x0" or "v" (`diffusion.objectives`).
        train_steps: diffusion steps of the squared-cosine schedule.
        sampling_steps: how many of them DDIM visits in `act`.
        temperature: standard deviation of the noise that `act` starts from; below 1, actions are closer to the usual.
        noises: how many noise levels each observation of a batch is trained at.
        lr: AdamW's learning rate after `warmup_steps`, from where it falls to 0 along a cosine until the last step, or
            the end of the trainer's `max_time`. A training without an end goes on at this rate.
        weight_decay: AdamW's, on weight matrices only.
        warmup_steps: optimizer steps of linear warm-up.
    """

    observation = "keypoints"  # the kind of observation that `envs.pusht.PushT` must give

    def __init__(
        self,
        network: str = "mlp",
        network_args: dict | None = None,
        n_obs_steps: int = 2,
        horizon: int = 16,
        n_action_steps: int = 8,
        objective: str = "v",
        train_steps: int = 100,
        sampling_steps: int = 8,
        temperature: float = 1.0,
        noises: int = 4,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        warmup_steps: int = 500,
    ):
        super().__init__()
        self.save_hyperparameters()
        whole(1, 2**14, horizon=horizon, noises=noises)
        whole(1, 1000, n_obs_steps=n_obs_steps)
        whole(1, MOST_STEPS, train_steps=train_steps)
        check_sampling_steps(sampling_steps, train_steps)
        whole(0, warmup_steps=warmup_steps)
        number("[0, 1000]", temperature=temperature)
        number("[0, inf)", lr=lr, weight_decay=weight_decay)
        if not 1 <= n_action_steps <= horizon:
            raise ValueError(f"n_action_steps={n_action_steps} must lie between 1 and horizon={horizon}")
        self.features = PushTFeatures(t_block.corners(t_block.TARGET_POSE).tolist(), t_block.WORLD, n_obs_steps)
        self.network = _build(network, network_args or {}, horizon, self.features.dim)
        self.scheduler = NoiseScheduler(squared_cosine_betas(train_steps))
        check_sampling_steps(sampling_steps, train_steps)
        self.objective = choose("objective", objective, objectives.OBJECTIVES)
        self.register_buffer("action_scale", torch.ones(horizon, 1))  # pixels, set from the data when training starts
        self.measured = StatisticsFlag()  # action_scale
        self._mean = distributed_mean.StepMean()

    @torch.no_grad()
    def act(self, observations: Tensor | np.ndarray, generator: Generators = None) -> Tensor | np.ndarray:
        """The next T actions, by DDIM: (B, O, 18) pixels -> (B, T, 2) pixels in the world, or (O, 18) -> (T, 2).

        Takes numbers of any precision and gives float32: for a tensor a tensor on its device, for an array an array.
        Noise comes from `generator`: one for the batch; or a list with one for each observation, which then acts the
        same in every batch up to rounding (`diffusion.noise.generators`); or, without, torch's global one. Modes
        (train, eval) are left as they were.
        """
        seen = torch.as_tensor(observations, dtype=torch.float32, device=self.action_scale.device)
        expected = (self.hparams.n_obs_steps, KEYPOINTS)
        if seen.ndim not in (2, 3) or seen.shape[-2:] != expected:
            raise ValueError(
                f"this policy observes {expected[0]} steps of {self.observation} ({KEYPOINTS} numbers each), as "
                f"envs.action_chunking.ActionChunking keeps them: shape {expected} for one world, "
                f"(B, {expected[0]}, {KEYPOINTS}) for several; got observations of shape {tuple(seen.shape)}"
            )
        if not bool(seen.isfinite().all()):
            raise ValueError("the observations hold numbers that are NaN or infinite; give pixels of the world")
        actions = self._act(seen.reshape(-1, *expected), generator).reshape(*seen.shape[:-2], -1, 2)
        return actions.to(observations.device) if isinstance(observations, Tensor) else actions.cpu().numpy()

    def _act(self, observations: Tensor, generator: Generators) -> Tensor:
        shape = (len(observations), self.hparams.horizon, 2)
        noise = self.hparams.temperature * randn(shape, generator, observations.device, torch.float32)
        with evaluating(self):
            context = self._context(observations)

            def denoise(x: Tensor, t: Tensor) -> Tensor:
                return self.objective.x0(self.scheduler, x, self._output(x, t, context), t)

            x0 = samplers.ddim(denoise, noise, self.scheduler, self.hparams.sampling_steps)
        return (x0 * self.action_scale + _pointer(observations)).clamp(0, t_block.WORLD)

    def _context(self, observations: Tensor) -> Tensor:
        """What the network must know of observations (B, O, 18) to denoise."""
        return self.network.encode(self.features(observations).to(self.dtype))

    def _output(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """The network's, in float32 whatever the precision of its layers: the maths around it stays exact."""
        return self.network(x.to(self.dtype), t, context).float()

    def setup(self, stage: str) -> None:
        """Measure the actions' scale on the training data: root mean square at each step of the chunk, in pixels."""
        if stage != "fit" or self.measured.known:
            return
        if self.trainer.datamodule is None:
            raise ValueError(
                "the scale of actions can only be measured on a datamodule; train with one, or start from weights"
            )
        total, count = 0.0, 0
        for batch in self.trainer.datamodule.train_dataloader():
            self._check_horizons(batch)
            taken = batch["taken"][..., None]
            relative = (batch["action"] - _pointer(batch["observation"])) * taken
            total, count = total + relative.square().sum((0, 2)), count + 2 * taken.sum((0, 2))
        scale = (total / count.clamp(min=1)).sqrt()[:, None].clamp(min=1.0)
        self.action_scale.copy_(scale)
        self.measured.set()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        loss = self._loss(batch)
        self.log("train/loss", loss, prog_bar=True)
        return loss * self._mean.weight(self, batch["taken"].sum())

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self._mean.settle(self, optimizer)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._log_heldout("val", batch, batch_idx)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._log_heldout("test", batch, batch_idx)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The actions (B, T, 2) that each observation asks for; the run's seed and the "index" give their noise."""
        return self.act(batch["observation"], noise_of(batch, run_seed()))

    def _log_heldout(self, stage: str, batch: dict[str, Tensor], batch_idx: int) -> None:
        """The same noise at every validation, so that losses can be compared, and for each window by its "index",
        whatever batch or process it is in; by its batch where it has none."""
        loss = self._loss(batch, noise_of(batch, 0) or torch.Generator().manual_seed(batch_idx))
        distributed_mean.log_mean(self, f"{stage}/loss", loss, int(batch["taken"].sum()), prog_bar=True)

    def _loss(self, batch: dict[str, Tensor], generator: Generators = None) -> Tensor:
        self._check_horizons(batch)
        observation, repeats = batch["observation"].float(), self.hparams.noises
        x0 = (batch["action"].float() - _pointer(observation)) / self.action_scale  # (B, T, 2)
        context = self._context(observation)
        noise = randn((len(x0), repeats, *x0.shape[1:]), generator, x0.device, x0.dtype).flatten(0, 1)
        t = randint(self.scheduler.steps, (len(x0), repeats), generator, x0.device).flatten()
        x0, context, taken = (x.repeat_interleave(repeats, 0) for x in (x0, context, batch["taken"][..., None]))
        errors = objectives.errors(
            lambda x, t: self._output(x, t, context), self.scheduler, self.objective, x0, noise, t
        )  # (B * noises, T, 2)
        return (errors * taken).sum() / (2 * taken.sum()).clamp(min=1)

    def _check_horizons(self, batch: dict[str, Tensor]) -> None:
        hp = self.hparams
        for name, what, expected in [("observation", "n_obs_steps", hp.n_obs_steps), ("action", "horizon", hp.horizon)]:
            if batch[name].shape[1] != expected:
                raise ValueError(
                    f"the model has {what}={expected}, its data {what}={batch[name].shape[1]}; set both to the same"
                )

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(
            decay_matrices(self, self.hparams.weight_decay),
            lr=self.hparams.lr,
            betas=(0.95, 0.999),
            fused=fused(self.trainer),
        )
        planned, warmup = self.trainer.estimated_stepping_batches, self.hparams.warmup_steps

        def factor(step: int) -> float:
            rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
            return rise * fallen(step, total_steps(self.trainer, step, planned))

        return scheduled(optimizer, factor)


def _pointer(observations: Tensor) -> Tensor:
    """Where the pointer is now: (B, O, 18) -> (B, 1, 2)."""
    return observations[:, -1:, :2]


def _build(network: str, arguments: dict, horizon: int, condition_dim: int) -> nn.Module:
    kind = choose("network", network, NETWORKS)
    given = {"horizon": horizon, "action_dim": 2, "condition_dim": condition_dim}
    allowed = inspect.signature(kind).parameters.keys() - given.keys()
    if not arguments.keys() <= allowed:
        unknown = ", ".join(sorted(arguments.keys() - allowed))
        raise ValueError(f"network_args: the network {network!r} takes {', '.join(sorted(allowed))}; got {unknown}")
    return kind(**given, **arguments)
