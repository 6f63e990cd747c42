from functools import partial

import lightning as L
import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from callbacks import rollouts
from callbacks.resume.random_state import random_state
from callbacks.rollouts import FIRST_TEST_SEED, VAL_SEEDS, Rollouts, roll_out, run_policy, table
from datamodules.pusht import read_keypoints
from diffusion.noise import randn
from envs.disturbances import ActionDelay, BlockPush
from envs.episode import episodes_of
from envs.episode_statistics import summarize
from envs.pusht import PushT
from envs.pusht_world import PushTWorld
from envs.rollout import rollout
from envs.world import World


class Chaser(L.LightningModule):
    """Not a learner: drives the pointer to the block's centre plus its one weight."""

    observation, observation_shape, action_dim = "keypoints", [18], 2

    def __init__(self):
        super().__init__()
        self.save_hyperparameters({"n_obs_steps": 2, "n_action_steps": 8})
        self.offset = torch.nn.Parameter(torch.zeros(()))
        self.seen_offsets = []

    def act(self, observations, generator=None):
        self.seen_offsets.append(self.offset.item())
        centre = observations[:, -1, 2:].unflatten(-1, (8, 2)).mean(1)
        return (centre + self.offset)[:, None].repeat(1, 8, 1).detach()

    def training_step(self, batch, batch_idx):
        return -self.offset

    def validation_step(self, batch, batch_idx):
        pass

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1.0)


def trainer(tmp_path, callbacks):
    return L.Trainer(
        max_steps=2,
        accelerator="cpu",
        default_root_dir=tmp_path,
        callbacks=callbacks,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=1,
    )


LOADER = DataLoader(torch.zeros(2, 1), 1)


def nearest_starts(source, seeds):
    """How far the farthest number of what is seen first lies from that of the nearest demonstration, for each seed."""
    demonstrations = read_keypoints(source)
    shown, env = demonstrations.observations[demonstrations.starts].numpy(), PushT("keypoints", legacy_resets=True)
    return [np.abs(shown - env.reset(seed=seed)[0]).max(1).min() for seed in seeds]


def test_no_demonstration_begins_where_policies_are_judged(human_data):
    """A policy would be judged by what it was shown: people began at the starts of seeds 0 to 205."""
    assert max(nearest_starts(human_data, range(206))) < 1e-3
    test = range(FIRST_TEST_SEED, FIRST_TEST_SEED + 500)
    for source in ("bundled", human_data):
        for seeds in (VAL_SEEDS[:200], test):
            assert min(nearest_starts(source, seeds)) > 5


def test_logs_the_metrics_of_the_policys_own_episodes_with_averaged_weights(tmp_path):
    module = Chaser()
    checkpoint = ModelCheckpoint(monitor="val/score", mode="max")
    fitting = trainer(tmp_path, [EMAWeightAveraging(decay=0.5), Rollouts(3, 2, 1), checkpoint])
    fitting.fit(module, LOADER, LOADER)
    # One validation, after two steps of +1: the average of 1 and 2 with decay 0.5, never the raw 2.
    assert set(module.seen_offsets) == {1.5}
    expected = summarize(
        rollout(lambda o, numbers: (o[:, -1, 2:].reshape(-1, 8, 2).mean(1) + 1.5)[:, None].repeat(8, 1), VAL_SEEDS[:3])
    )
    for name, metric in expected.items():
        assert fitting.callback_metrics[f"val/{name}"].item() == pytest.approx(metric.mean, abs=1e-5)
        assert fitting.callback_metrics[f"val/{name}/low"].item() == pytest.approx(metric.low, abs=1e-5)
    assert checkpoint.best_model_score.item() == pytest.approx(expected["score"].mean, abs=1e-5)
    events = EventAccumulator(fitting.log_dir)
    events.Reload()
    assert events.Tags()["images"] == ["val/rollouts"]
    assert events.Images("val/rollouts")[0].encoded_image_string.startswith(b"GIF89a")
    videos = tmp_path / fitting.log_dir / "videos/val/rollouts"
    assert [path.name for path in videos.iterdir()] == ["0000002.mp4"]


def test_test_uses_the_papers_seeds_and_says_so(tmp_path, capsys):
    module = Chaser()
    metrics = trainer(tmp_path, [Rollouts(1, 2, 0)]).test(module, LOADER, verbose=False)[0]
    expected = summarize(run_policy(Chaser(), [100_000, 100_001], progress=False))
    assert metrics["test/score"] == pytest.approx(expected["score"].mean, abs=1e-5)
    assert metrics["test/score/high"] == pytest.approx(expected["score"].high, abs=1e-5)
    assert "seeds 100000 to 100001" in " ".join(capsys.readouterr().out.split())


def test_table_has_a_row_per_policy():
    metrics = summarize(run_policy(Chaser(), [0, 1], progress=False))
    assert len(table({"a": metrics, "b": metrics}, 2, 0).rows) == 2


@pytest.mark.parametrize("arguments", [{"val_episodes": 1001}, {"val_episodes": 0}, {"test_episodes": 0}])
def test_impossible_numbers_are_named(arguments):
    name, value = next(iter(arguments.items()))
    with pytest.raises(ValueError, match=f"{name}={value} "):
        Rollouts(**arguments)


def test_disturbances_are_named_in_yaml_and_in_the_title(tmp_path, capsys):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Rollouts, "rollouts")
    wrappers = [
        {"class_path": "envs.disturbances.BlockPush", "init_args": {"within": 20}},
        {"class_path": "envs.disturbances.ActionDelay"},
    ]
    given = {"rollouts": {"test_episodes": 2, "video_episodes": 1, "wrappers": wrappers}}
    callback = parser.instantiate(parser.parse_object(given)).rollouts
    testing = trainer(tmp_path, [callback])
    metrics = testing.test(Chaser(), LOADER, verbose=False)[0]
    world = PushTWorld(wrappers=(partial(BlockPush, within=20), ActionDelay))
    expected = world.summarize(roll_out(Chaser(), world, [100_000, 100_001], progress=False))
    assert metrics["test/score"] == pytest.approx(expected["score"].mean, abs=1e-5)
    undisturbed = summarize(run_policy(Chaser(), [100_000, 100_001], progress=False))
    assert metrics["test/score"] != pytest.approx(undisturbed["score"].mean, abs=1e-5)
    assert "to 100001, wrapped in BlockPush, ActionDelay" in " ".join(capsys.readouterr().out.split())
    assert list((tmp_path / testing.log_dir).rglob("*.mp4"))


class Dicer(Chaser):
    """Goes where its noise says, and where the last bit of what it sees says."""

    def act(self, observations, generator=None):
        assert not self.training
        noise = randn((len(observations), 8, 2), generator)
        network = torch.nn.functional.linear(observations.flatten(1), self.weight).sin()
        return (256 + 80 * noise + 30 * network[:, None, :2]).clamp(0, 512)

    def __init__(self):
        super().__init__()
        self.weight = torch.randn(64, 36, generator=torch.Generator().manual_seed(0))


def test_an_episode_does_not_depend_on_the_others_of_its_wave():
    """Bit for bit: the same alone, beside others, in a later wave; another attempt at a start is another one."""
    policy = Dicer().train()
    state = random_state()
    seeds = [3, 100, 7, 3]
    world = PushTWorld()
    many = episodes_of(roll_out(policy, world, seeds, progress=False, parallel_worlds=2))
    assert policy.training
    assert torch.equal(state["torch"], torch.get_rng_state())
    few = run_policy(policy, [7, 3], progress=False)
    for one, other in ((many[0], few[1]), (many[-2], few[0])):
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_array_equal(one.coverages, other.coverages)
    assert not np.array_equal(many[-1].actions[:8], many[0].actions[:8])
    assert [episode.seed for episode in many] == seeds


class Swinger(L.LightningModule):
    """Not a learner: torques from its noise and from what it sees, in one array or by key."""

    observation, observation_shape, action_dim = None, [3], 1

    def __init__(self, n_action_steps=5):
        super().__init__()
        self.save_hyperparameters({"n_obs_steps": 2, "n_action_steps": n_action_steps})
        self.weight = torch.randn(1, 6, generator=torch.Generator().manual_seed(0))
        self.seen = []

    def act(self, observations, generator=None):
        self.seen.append(len(observations))
        pushed = torch.nn.functional.linear(observations.flatten(1), self.weight).sin()
        return randn((len(observations), 5, 1), generator) + pushed[:, None]

    training_step = validation_step = test_step = lambda self, batch, batch_idx: None

    def configure_optimizers(self):
        return None


def test_waves_of_any_size_give_the_same_figures():
    """Seven at once, one at once, more than the policy sees at once; as the policy always sees equally many."""
    world, seeds = World("Pendulum-v1"), range(8)
    policy = Swinger()
    expected = roll_out(policy, world, seeds, progress=False)
    assert set(policy.seen) == {rollouts.BATCH}
    assert world.summarize(expected)["mean_steps"] == (200, 200, 200)
    for waves in (7, 1):
        for one, other in zip(roll_out(policy, world, seeds, False, waves), expected, strict=True):
            np.testing.assert_array_equal(one.actions, other.actions)
            np.testing.assert_array_equal(one.rewards, other.rewards)


def test_noise_comes_from_the_runs_seed(monkeypatch):
    world = World("Pendulum-v1")

    def actions(seed):
        monkeypatch.setenv("PL_GLOBAL_SEED", seed)
        return roll_out(Swinger(), world, [5], progress=False)[0].actions

    assert np.array_equal(actions("3"), actions("3"))
    assert not np.array_equal(actions("3"), actions("4"))


def test_any_environment_is_tested_and_logged(tmp_path, capsys):
    callback = Rollouts(1, 3, 0, "Pendulum-v1", {"g": 5.0})
    metrics = trainer(tmp_path, [callback]).test(Swinger(), LOADER, verbose=False)[0]
    played = roll_out(Swinger(), World("Pendulum-v1", {"g": 5.0}), range(100_000, 100_003), progress=False)
    assert metrics["test/mean_return"] == pytest.approx(np.mean([one.rewards.sum() for one in played]), rel=1e-6)
    assert "Pendulum-v1, 3 episodes, starts of seeds 100000 to 100002" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"env_id": "Nowhere-v0"}, "env_id='Nowhere-v0' cannot be made"),
        ({"env_id": "nowhere:Some-v0"}, "env_id='nowhere:Some-v0' cannot be made"),
        ({"env_id": "CartPole-v1"}, r"has the actions Discrete\(2\)"),
        ({"env_id": "Pendulum-v1", "env_options": {"gravity": 1}}, "cannot be made with {'gravity': 1}"),
        ({"parallel_worlds": 0}, "parallel_worlds=0"),
        ({"parallel_worlds": 1001}, "parallel_worlds=1001"),
    ],
)
def test_worlds_that_cannot_be_acted_in_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        Rollouts(**arguments)


def test_a_policy_of_another_world_is_refused_before_work_begins(tmp_path):
    for module, options, words in (
        (Swinger(), {}, r"observes \[3\], and firstlight/PushT-v0 shows \[18\]"),
        (Chaser(), {"env_id": "Pendulum-v1"}, r"observes \[18\], and Pendulum-v1 shows \[3\]"),
        (
            Swinger(),
            {"env_id": "MountainCarContinuous-v0"},
            r"observes \[3\], and MountainCarContinuous-v0 shows \[2\]",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            trainer(tmp_path, [Rollouts(1, 1, 0, **options)]).test(module, LOADER, verbose=False)


def test_the_same_seeds_give_the_same_episodes():
    first, second = (run_policy(Chaser(), [5, 6], progress=False) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.coverages, b.coverages)
