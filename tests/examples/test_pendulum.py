"""The second world: an expert's episodes, and a policy that learns from them."""

import gymnasium as gym
import numpy as np
import pytest

import train
from datamodules.episodes import read_episodes
from envs.lerobot_dataset import OWN
from examples.pendulum import expert
from tests.test_train import ROOT

FIT = ["fit", "--config", str(ROOT / "examples/pendulum/pendulum.yaml"), "--trainer.accelerator", "cpu"]


def test_the_expert_swings_up_and_holds():
    """From hanging still, too; at the end it stands upright, hardly moving."""
    for seed in (0, 1, 2):
        (episode,) = expert.episodes([seed])
        cos, _, velocity = episode["observation.state"][-1]
        assert cos > 0.99
        assert abs(velocity) < 0.5
        assert np.abs(episode["action"]).max() <= 2
    env = gym.make("Pendulum-v1").unwrapped
    env.reset(seed=0)
    env.state = np.array([np.pi, 0.0])
    for _ in range(200):
        observation, *_ = env.step(expert.torque(env._get_obs()))
    assert observation[0] > 0.99


def test_its_torques_are_those_of_each_observation_alone():
    seen = np.random.default_rng(0).normal(size=(4, 5, 3))
    assert expert.torque(seen).shape == (4, 5, 1)
    np.testing.assert_array_equal(expert.torque(seen)[2, 3], expert.torque(seen[2, 3]))


def test_episodes_are_written_and_a_policy_is_trained_and_rolled_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    expert.main(["--out", "runs/pendulum_demos", "--episodes", "2"])
    assert "2 episodes (400 steps, mean return -" in capsys.readouterr().out
    read = read_episodes("runs/pendulum_demos", "observation.state")
    assert read.lengths.tolist() == [200, 200]
    assert (tmp_path / "runs/pendulum_demos" / OWN).is_file()
    options = "{env_id: Pendulum-v1, val_episodes: 2, video_episodes: 0}"
    rollouts = f"[{{class_path: callbacks.rollouts.Rollouts, init_args: {options}}}]"
    short = ["--trainer.max_steps", "2", "--trainer.val_check_interval", "2"]
    cli = train.main([*FIT, *short, "--data.val_share", "0.5", "--trainer.callbacks", rollouts])
    metrics = cli.trainer.callback_metrics
    assert -2000 < metrics["val/mean_return"] < 0
    assert metrics["val/mean_steps"] == 200
    assert "val/success_rate" not in metrics
    policy = cli.model
    assert (policy.observation_shape, policy.action_dim) == ([3], 1)
    np.testing.assert_allclose(policy.features.actions.mean, cli.datamodule.action_statistics().mean)
    assert policy.action_scale.shape == (8, 1)


def test_a_folder_of_something_else_is_kept(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SystemExit):
        expert.main(["--out", str(tmp_path)])
    assert "was not recorded here; name another folder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_policy_reaches_nine_tenths_of_its_expert(tmp_path, monkeypatch):
    """Returns are costs, below 0: at most 1 / 0.9 of the expert's on the same 100 starts."""
    monkeypatch.chdir(tmp_path)
    expert.main(["--out", "runs/pendulum_demos"])
    train.main(FIT)
    cli = train.main(["test", *FIT[1:], "--ckpt_path", "last"])
    policy = float(cli.trainer.callback_metrics["test/mean_return"])
    assert policy >= expert.expert_return(range(100_000, 100_100)) / 0.9
