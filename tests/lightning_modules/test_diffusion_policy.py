from functools import partial

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch.utils.data import DataLoader

from checkpoints.load_trained import load_trained
from checkpoints.pretrained import load_weights
from diffusion.noise import generators
from diffusion.noise_schedule import FlowMatchingSchedule
from diffusion.prediction_type import Epsilon, FlowPrediction, Sample
from diffusion.samplers import DDPMSampler, EulerSampler
from diffusion.timestep_distribution import LogitNormal, Uniform
from diffusion.timesteps import UniformTimesteps
from envs import t_block
from envs.action_chunking import ActionChunking
from envs.pusht import PushT
from lightning_modules.diffusion_policy import DiffusionPolicy
from networks.chunk_mlp import ChunkMLP
from networks.chunk_unet import ChunkUNet
from networks.observation_features import ObservationFeatures
from networks.pusht_features import PushTFeatures
from optim.lr_schedule import Constant, WarmupCosine

SMALL = {"width": 32, "depth": 1, "encoder_width": 32, "encoder_depth": 1}
TINY = {"network": partial(ChunkMLP, **SMALL), "features": PushTFeatures}


def keypoints(n, seed=0):
    """(n, 2, 18) observations of a real T."""
    generator = torch.Generator().manual_seed(seed)
    pose = torch.rand(n, 3, generator=generator) * torch.tensor([200.0, 200, 6]) + torch.tensor([150.0, 150, 0])
    corners = torch.from_numpy(t_block.corners(pose.numpy())).float().flatten(1)
    pointer = torch.rand(n, 2, generator=generator) * 400 + 50
    return torch.cat([pointer, corners], 1)[:, None].repeat(1, 2, 1)


def rows(n, horizon=16, seed=0):
    observation = keypoints(n, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    action = observation[:, -1:, :2] + torch.randn(n, horizon, 2, generator=generator).cumsum(1) * 10
    return {"observation": observation, "action": action, "action_is_pad": torch.zeros(n, horizon, dtype=torch.bool)}


class Rows(L.LightningDataModule):
    def __init__(self, n=32, horizon=16):
        super().__init__()
        batch = rows(n, horizon)
        self.rows = [{name: values[i] for name, values in batch.items()} for i in range(n)]

    def observation_statistics(self):
        return None

    action_statistics = observation_statistics

    def action_scale(self, origin):
        """By the slow road: root mean square of the actions that are no padding, relative to their origin."""
        squares = [[] for _ in range(len(self.rows[0]["action"]))]
        for row in self.rows:
            for step, (action, is_pad) in enumerate(zip(row["action"], row["action_is_pad"], strict=True)):
                if not is_pad:
                    squares[step].append((action - origin(row["observation"][None])[0, 0]).square().tolist())
        return torch.tensor([np.sqrt(np.mean(values, 0)).tolist() if values else [0.0, 0.0] for values in squares])

    def train_dataloader(self):
        return DataLoader(self.rows, 8)

    val_dataloader = train_dataloader


def fit(policy, steps, callbacks=(), data=None, **options):
    trainer = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **options,
    )
    trainer.fit(policy, data or Rows(horizon=policy.hparams.horizon))
    return trainer


@pytest.mark.parametrize(
    "arguments",
    [
        TINY,
        TINY | {"network": partial(ChunkUNet, widths=[8, 16])},
        TINY | {"prediction_type": Epsilon(), "horizon": 12, "n_action_steps": 4},
        TINY | {"prediction_type": Sample(), "sampling_steps": 1},
        TINY | {"sampler": DDPMSampler()},
        TINY
        | {
            "noise_schedule": FlowMatchingSchedule(),
            "prediction_type": FlowPrediction(),
            "timestep_distribution": LogitNormal(),
            "sampler": EulerSampler(),
        },
    ],
)
def test_trains_and_acts_in_pixels(arguments):
    torch.manual_seed(0)
    policy = DiffusionPolicy(**arguments)
    fit(policy, 3)
    actions = policy.eval().act(keypoints(5))
    assert actions.shape == (5, policy.hparams.horizon, 2)
    assert actions.min() >= 0
    assert actions.max() <= 512


def test_the_scale_of_actions_is_that_of_the_data_and_saved():
    policy = DiffusionPolicy(**TINY)
    fit(policy, 1)
    batch = rows(32)
    expected = (batch["action"] - batch["observation"][:, -1:, :2]).square().mean((0, 2)).sqrt()
    torch.testing.assert_close(policy.action_scale[:, 0], expected)
    assert "action_scale" in policy.state_dict()


@pytest.mark.parametrize("reached", [1, 10])
def test_steps_that_no_action_reaches_have_scale_1_and_no_loss(reached):
    """All episodes are shorter than the horizon."""
    data = Rows()
    for row in data.rows:
        row["action_is_pad"][reached:] = True
    policy = DiffusionPolicy(**TINY, lr_schedule=Constant())
    runner = L.Trainer(max_steps=3, accelerator="cpu", logger=False, enable_checkpointing=False)
    runner.fit(policy, data)
    assert (policy.action_scale[reached:] == 1).all()
    assert (policy.action_scale[:reached] > 1).all()
    assert runner.callback_metrics["train/loss"].isfinite()
    bias = policy.network.head.bias.view(16, 2)
    assert (bias[:reached] != 0).all()
    assert (bias[reached:] == 0).all()


def test_overfits_a_few_windows():
    torch.manual_seed(0)
    network = partial(ChunkMLP, width=128, depth=2, encoder_width=64, encoder_depth=1)
    policy = DiffusionPolicy(network, PushTFeatures, lr=3e-3, noise_levels_per_sample=16)
    batch = rows(8)
    relative = batch["action"] - batch["observation"][:, -1:, :2]
    policy.action_scale.copy_(relative.square().mean((0, 2)).sqrt()[:, None])
    optimizer = torch.optim.Adam(policy.parameters(), 3e-3)
    for _ in range(400):
        optimizer.zero_grad()
        policy._loss(batch, Uniform()).backward()
        optimizer.step()
    error = (policy.eval().act(batch["observation"]) - batch["action"]).norm(dim=-1)
    assert error.median() < relative.norm(dim=-1).median() / 10


def test_padded_actions_carry_no_loss():
    torch.manual_seed(0)
    policy = DiffusionPolicy(**TINY)
    batch = rows(8)
    batch["action_is_pad"][:, 10:] = True
    loss = policy._loss(batch, Uniform(), generator=torch.Generator().manual_seed(0))
    torch.nn.init.normal_(policy.network.head.weight)
    policy.network.zero_grad()
    policy._loss(batch, Uniform(), generator=torch.Generator().manual_seed(0)).backward()
    gradient = policy.network.head.bias.grad.view(16, 2)
    assert (gradient[10:] == 0).all()
    assert (gradient[:10] != 0).all()
    assert loss.isfinite()


def test_the_loss_is_the_mean_squared_error_of_the_prediction():
    """By the slow road: one window and noise level at a time, from the closed forms."""
    torch.manual_seed(0)
    policy = DiffusionPolicy(**TINY, noise_levels_per_sample=2, prediction_type=Epsilon())
    torch.nn.init.normal_(policy.network.head.weight)
    policy.action_scale.uniform_(20, 90)
    batch = rows(3)
    batch["action_is_pad"][0, 5:] = True
    loss = policy._loss(batch, Uniform(), generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(6, 16, 2, generator=generator)
    t = torch.randint(100, (6,), generator=generator)
    alpha_bar = torch.cumprod(1 - policy.scheduler.betas.double(), 0).float()
    errors, count = 0.0, 0
    for i in range(6):
        window = i // 2
        observation = batch["observation"][window : window + 1]
        x0 = (batch["action"][window] - observation[0, -1, :2]) / policy.action_scale
        x_t = alpha_bar[t[i]].sqrt() * x0 + (1 - alpha_bar[t[i]]).sqrt() * noise[i]
        output = policy.network(x_t[None], t[i : i + 1], policy.network.encode(policy.features(observation)))[0]
        is_real = ~batch["action_is_pad"][window]
        errors += (output - noise[i]).square()[is_real].sum()
        count += 2 * is_real.sum()
    torch.testing.assert_close(loss, errors / count, rtol=1e-4, atol=1e-5)


def talking(**options):
    """A policy whose actions depend on what it sees and on its noise."""
    torch.manual_seed(0)
    policy = DiffusionPolicy(**TINY | options)
    torch.nn.init.normal_(policy.network.head.weight)
    policy.action_scale.fill_(40.0)
    return policy.eval()


def test_arrays_and_single_observations_are_what_tensors_and_batches_are():
    policy, seen = talking(), keypoints(3)
    expected = policy.act(seen, generators(0, range(3)))
    for given in (seen.double().numpy(), seen.numpy(), seen.numpy().astype(np.float16).astype(np.float64)):
        actions = policy.act(given, generators(0, range(3)))
        assert isinstance(actions, np.ndarray)
        assert actions.dtype == np.float32
        np.testing.assert_allclose(actions, expected, atol=0.01 if given.dtype != np.float64 else 20)
    torch.testing.assert_close(policy.act(seen.double(), generators(0, range(3))), expected)
    alone = policy.act(seen[1].double().numpy(), generators(0, [1]))
    assert alone.shape == (16, 2)
    np.testing.assert_allclose(alone, expected[1], atol=0.01)


def test_acts_on_what_the_environment_gives():
    env = ActionChunking(PushT("keypoints"), n_action_steps=8, n_obs_steps=2)
    observation, _ = env.reset(seed=0)
    chunk = talking().act(observation)
    observation, *_ = env.step(chunk[:8])
    assert talking().act(observation).shape == (16, 2)


def test_an_observations_actions_do_not_depend_on_the_others_of_its_batch():
    policy, seen = talking(), keypoints(3)
    whole = policy.act(seen, generators(4, range(3)))
    for numbers in ([0, 1], [2], [2, 0]):
        alone = policy.act(seen[numbers], generators(4, numbers))
        torch.testing.assert_close(alone, whole[numbers], rtol=0, atol=1e-2)  # pixels
    assert (policy.act(seen, generators(5, range(3))) - whole).abs().max() > 10


def test_acting_while_training_is_acting_and_leaves_no_trace():
    policy = talking(network=partial(ChunkMLP, **SMALL, dropout=0.5))
    expected = policy.act(keypoints(2), generators(0, range(2)))
    policy.train()
    policy.features.eval()
    modes, state = [part.training for part in policy.modules()], torch.get_rng_state()
    assert torch.equal(policy.act(keypoints(2), generators(0, range(2))), expected)
    assert [part.training for part in policy.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)


def test_held_out_losses_do_not_depend_on_the_batch(monkeypatch):
    policy, batch = talking(), rows(12) | {"index": torch.arange(12)}

    def total(size):
        logged = []
        monkeypatch.setattr(
            policy, "log", lambda name, value, batch_size, **_: logged.append(float(value) * batch_size)
        )
        for number in range(12 // size):
            part = slice(number * size, (number + 1) * size)
            policy.validation_step({name: values[part] for name, values in batch.items()}, number)
        return sum(logged)

    assert total(1) == pytest.approx(total(12), rel=1e-5)
    assert total(4) == pytest.approx(total(12), rel=1e-5)


def test_actions_are_watched_as_they_form():
    """The prediction of each step of the sampler, in pixels; the last one is what is done."""
    policy, watched = DiffusionPolicy(**TINY, sampling_steps=3).eval(), []
    noise = generators(0, range(2))
    actions = policy.act(keypoints(2), noise, on_step=lambda number, actions: watched.append((number, actions)))
    assert [number for number, _ in watched] == [1, 2, 3]
    assert torch.equal(watched[-1][1], actions)
    assert torch.equal(policy.act(keypoints(2), generators(0, range(2))), actions)


def test_a_temperature_that_is_given_counts_in_place_of_the_policys_own():
    policy, cold = (DiffusionPolicy(**TINY, temperature=temperature).eval() for temperature in (1.0, 0.25))
    cold.load_state_dict(policy.state_dict())
    given = policy.act(keypoints(2), generators(0, range(2)), temperature=0.25)
    assert torch.equal(given, cold.act(keypoints(2), generators(0, range(2))))
    with pytest.raises(ValueError, match="temperature=-1"):
        policy.act(keypoints(2), temperature=-1)


def test_acting_repeats_with_the_same_generator_and_is_independent_across_robots():
    torch.manual_seed(0)
    policy = DiffusionPolicy(**TINY).eval()
    torch.nn.init.normal_(policy.network.head.weight)
    observations = keypoints(4)
    first = policy.act(observations, torch.Generator().manual_seed(1))
    again = policy.act(observations, torch.Generator().manual_seed(1))
    assert torch.equal(first, again)
    changed = observations.clone()
    changed[2:] = keypoints(2, seed=9)
    other = policy.act(changed, torch.Generator().manual_seed(1))
    torch.testing.assert_close(other[:2], first[:2], rtol=1e-4, atol=1e-3)
    assert not torch.allclose(other[2:], first[2:])


def test_own_features_decide_what_is_observed_and_what_actions_mean():
    """A robot that sees its position, in metres, and is told where to go in it."""

    class Position(ObservationFeatures):
        observation = "position"

        def __init__(self, n_obs_steps, observation_shape, action_dim):
            super().__init__()
            self.observation_shape, self.action_dim = observation_shape, action_dim
            self.dim = 3 * n_obs_steps

        def forward(self, observations):
            return observations.flatten(1)

        def origin(self, observations):
            return observations[:, -1:]

    torch.manual_seed(0)
    own = TINY | {"features": Position, "observation_shape": [3], "action_dim": 3}
    policy = DiffusionPolicy(**own, n_obs_steps=1, temperature=0.0).eval()
    assert policy.observation == "position"
    seen = torch.tensor([[[1.0, -2.0, 7.0]], [[4.0, 5.0, 6.0]]])
    # A network that has learned nothing predicts no velocity: x_0 of no noise is 0, the origin.
    torch.testing.assert_close(policy.act(seen), seen.expand(2, 16, 3))
    with pytest.raises(ValueError, match=r"1 steps of position \(3 numbers each\)"):
        policy.act(torch.zeros(1, 2, 18))
    batch = {"observation": seen, "action": torch.ones(2, 16, 3), "action_is_pad": torch.zeros(2, 16).bool()}
    assert policy._loss(batch, Uniform()).isfinite()


def test_ema_weights_are_the_recursion():
    torch.manual_seed(0)
    policy = DiffusionPolicy(**TINY)
    seen = []

    class Watch(L.Callback):
        def on_train_batch_end(self, trainer, module, *_):
            seen.append(module.network.head.bias.detach().clone())

    fit(policy, 5, [Watch(), EMAWeightAveraging(decay=0.8)], limit_val_batches=0)
    average = seen[0]
    for weights in seen[1:]:
        average = 0.8 * average + 0.2 * weights
    torch.testing.assert_close(policy.network.head.bias.detach(), average)


def test_resuming_equals_not_stopping(tmp_path):
    """Weights, averaged weights and optimizer after 4 + 4 steps are those after 8, bit for bit.

    The checkpoint is the one that is written while training: after its last step a run holds only averaged weights.
    Noise is drawn from the global generator, which a checkpoint does not hold: it is set again at the seam.
    """

    class Seam(L.Callback):
        def on_train_batch_start(self, trainer, *_):
            torch.manual_seed(trainer.global_step)

    def run(steps, folder, ckpt_path=None):
        torch.manual_seed(0)
        policy = DiffusionPolicy(**TINY, lr_schedule=WarmupCosine(warmup=2))
        policy_trainer = L.Trainer(
            max_steps=steps,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            callbacks=[
                EMAWeightAveraging(decay=0.9, use_buffers=False),
                Seam(),
                ModelCheckpoint(folder, every_n_train_steps=4, filename="{step}"),
            ],
        )
        # Same schedule in both parts: it must see 8 steps in all.
        policy.configure_optimizers = lambda: torch.optim.AdamW(policy.parameters(), 1e-3)
        policy_trainer.fit(policy, Rows(), ckpt_path=ckpt_path)
        return torch.load(folder / f"step={steps}.ckpt", weights_only=True)

    whole = run(8, tmp_path / "whole")
    run(4, tmp_path / "half")
    resumed = run(8, tmp_path / "resumed", ckpt_path=tmp_path / "half" / "step=4.ckpt")
    for part in ("state_dict", "current_model_state"):
        for name, value in whole[part].items():
            assert torch.equal(value, resumed[part][name]), (part, name)


def test_weights_without_a_checkpoint(tmp_path):
    from safetensors.torch import save_file

    policy = DiffusionPolicy(**TINY)
    (tmp_path / "config.yaml").write_text(
        "model:\n  class_path: lightning_modules.diffusion_policy.DiffusionPolicy\n  init_args:\n"
        "    network: {class_path: networks.chunk_mlp.ChunkMLP, init_args: "
        "{width: 32, depth: 1, encoder_width: 32, encoder_depth: 1}}\n"
        "    features: {class_path: networks.pusht_features.PushTFeatures}\n"
    )
    with pytest.raises(FileNotFoundError, match="there are no weights"):
        load_trained(tmp_path)
    save_file(policy.state_dict(), tmp_path / "model.safetensors")
    loaded = load_trained(tmp_path)
    observations = keypoints(2)
    ours, theirs = (p.eval().act(observations, torch.Generator().manual_seed(0)) for p in (policy, loaded))
    assert torch.equal(ours, theirs)
    with pytest.raises(ValueError, match="do not fit DiffusionPolicy"):
        load_weights(DiffusionPolicy(partial(ChunkMLP, width=64), PushTFeatures), tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_trained(tmp_path)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: DiffusionPolicy(**TINY, n_action_steps=0), ["n_action_steps=0", "horizon=16"]),
        (lambda: DiffusionPolicy(**TINY, noise_levels_per_sample=0), ["noise_levels_per_sample=0 must be"]),
        (lambda: DiffusionPolicy(**TINY, n_obs_steps=0), ["n_obs_steps=0 must be"]),
        (lambda: DiffusionPolicy(**TINY, lr=-1), ["lr=-1 must be"]),
        (lambda: DiffusionPolicy(**TINY, temperature=-1), ["temperature=-1 must be"]),
        (lambda: DiffusionPolicy(**TINY, sampling_steps=200), ["sampling_steps=200", "num_train_timesteps=100"]),
        (lambda: DiffusionPolicy(ChunkUNet, PushTFeatures, horizon=10), ["horizon=10", "8 or 12"]),
        (lambda: DiffusionPolicy(**TINY).act(torch.zeros(1, 2, 5)), ["keypoints", "(1, 2, 5)"]),
        (lambda: DiffusionPolicy(**TINY).act(torch.zeros(1, 3, 18)), ["2 steps", "(1, 3, 18)"]),
        (lambda: DiffusionPolicy(**TINY).act(np.zeros(18)), ["2 steps", "(18,)", "ActionChunking"]),
        (lambda: DiffusionPolicy(**TINY).act(np.full((2, 18), np.nan)), ["NaN or infinite"]),
        (lambda: DiffusionPolicy(**TINY, num_train_timesteps=0), ["num_train_timesteps=0"]),
        (lambda: fit(DiffusionPolicy(**TINY, horizon=12), 1, data=Rows()), ["horizon=12", "horizon=16"]),
        (lambda: fit(DiffusionPolicy(**TINY, n_obs_steps=3), 1), ["n_obs_steps=3", "n_obs_steps=2"]),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  its words are checked below
        call()
    assert all(word in str(caught.value) for word in words), caught.value


def test_features_are_of_order_one_everywhere():
    """Every observation of a world has finite features of order one, also far from the target."""
    policy = DiffusionPolicy(**TINY)
    features = policy.features(keypoints(200))
    assert features.shape == (200, policy.features.dim)
    assert features.isfinite().all()
    assert features.abs().max() < 10


def test_sampling_visits_the_configured_number_of_steps(monkeypatch):
    policy = DiffusionPolicy(**TINY, sampling_steps=5).eval()
    visited = []
    original = policy.network.forward
    monkeypatch.setattr(policy.network, "forward", lambda x, t, c: visited.append(int(t[0])) or original(x, t, c))
    policy.act(keypoints(1))
    assert visited == UniformTimesteps()(policy.scheduler, 5)


class Doubled(ObservationFeatures):
    """Perceives twice the observation, counts how often, and has a loss of its own."""

    def __init__(self, n_obs_steps, observation_shape, action_dim):
        super().__init__()
        self.observation_shape, self.action_dim, self.dim = (3,), 2, n_obs_steps * 3
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.perceived = 0

    def perceive(self, observations):
        self.perceived += 1
        return 2 * observations

    def loss(self, batch):
        return 0.5 * self.weight * batch["extra"].mean() if "extra" in batch else None

    def origin(self, observations):
        return observations[:, -1:, :2]

    def forward(self, observations):
        return observations.flatten(1)


def test_an_observation_is_perceived_once_and_features_have_their_own_loss():
    torch.manual_seed(0)
    policy = DiffusionPolicy(partial(ChunkMLP, **SMALL), Doubled, horizon=4, n_action_steps=2)
    observation = torch.randn(1, 2, 3)
    actions = policy.act(observation, torch.Generator().manual_seed(0))
    assert policy.features.perceived == 1
    # The network starts at zero: v = 0, so DDIM keeps the noise's direction, around the origin of what is perceived.
    middle = torch.stack([policy.act(observation, torch.Generator().manual_seed(i)) for i in range(400)]).mean((0, 2))
    assert torch.allclose(middle, 2 * observation[:, -1, :2], atol=0.2)
    assert actions.shape == (1, 4, 2)
    batch = {"observation": observation, "action": torch.zeros(1, 4, 2), "action_is_pad": torch.zeros(1, 4) > 0}
    trainer = L.Trainer(logger=False, enable_checkpointing=False, max_steps=1, accelerator="cpu", barebones=True)
    losses = []
    for extra in ({}, {"extra": torch.full((1, 5), 3.0)}):
        torch.manual_seed(1)
        policy.zero_grad()
        policy.trainer, policy.log = trainer, lambda *args, **options: None
        loss = policy.training_step(batch | extra, 0)
        policy._mean._counts.clear()
        losses.append(loss)
    assert (losses[1] - losses[0]).item() == pytest.approx(1.5)
    losses[1].backward()
    assert policy.features.weight.grad.item() == pytest.approx(1.5)
