"""A policy without training: the nearest moment of the demonstrations, looked up."""

import numpy as np
import pytest
import torch

from datamodules.mirror_image import mirror
from datamodules.pusht import read_keypoints
from examples import nearest_demonstrations
from examples.nearest_demonstrations import ACTIONS, NearestDemonstration


@pytest.fixture(scope="module")
def demonstrations():
    return read_keypoints("bundled")


@pytest.fixture(scope="module")
def policy(demonstrations):
    return NearestDemonstration(demonstrations)


def test_a_moment_that_was_shown_is_answered_by_what_followed(demonstrations, policy):
    """Also in the mirror; at the end of an episode its last action is held."""
    start, end = int(demonstrations.starts[3]), int(demonstrations.ends[3])
    steps = [start, start + 20, end - 2]
    followed = torch.stack([demonstrations.actions[[min(step + k, end - 1) for k in range(ACTIONS)]] for step in steps])
    for shown, actions in (
        (demonstrations.observations[steps], followed),
        mirror(demonstrations.observations[steps], followed),
    ):
        np.testing.assert_array_equal(policy(shown[:, None].numpy(), range(3)), actions.numpy())


def test_the_nearest_moment_is_that_of_an_obvious_search(policy):
    """By distances one by one, with the pointer's counted twice; half of the pointer's offset is added."""
    generator = np.random.default_rng(0)
    seen = policy.observations[generator.choice(len(policy.observations), 20)] + generator.normal(0, 20, (20, 18))
    answers = policy(np.stack([seen - 7, seen], 1), range(20))  # the last of two observed steps counts
    for now, answer in zip(seen, answers, strict=True):
        difference = policy.observations.astype(float) - now
        difference[:, :2] *= 2
        nearest = np.argmin((difference**2).sum(1))
        expected = policy.actions[nearest] + (now[:2] - policy.observations[nearest, :2]) / 2
        np.testing.assert_allclose(answer, expected, atol=1e-3)


def test_the_command_says_how_well_it_does(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["nearest_demonstrations", "--source", "bundled", "--episodes", "4"])
    nearest_demonstrations.main()
    said = capsys.readouterr().out
    assert "4 episodes, legacy initial states of seeds 100000 to 100003" in said
    assert "ms for 8 actions" in said
