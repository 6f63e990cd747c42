"""The second world's expert, and how near a policy comes; that it trains at all is in tests/test_your_data.py."""

import gymnasium as gym
import numpy as np
import pytest

import train
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
