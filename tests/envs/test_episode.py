"""An episode of Push-T: how well it went, and the same once more."""

import numpy as np

from envs.episode import Episode, replay
from envs.rollout import rollout
from tests.envs.test_rollout import to_the_middle


def test_replay_gives_the_same_episode():
    (episode,) = rollout(to_the_middle, [7])
    poses = [env.block_pose() for env in replay(episode)]
    assert len(poses) == len(episode.actions) + 1
    *_, env = replay(episode)
    assert env._info()["coverage"] == episode.coverages[-1]


def test_coverage_of_exactly_the_threshold_is_no_success():
    assert not Episode(0, np.zeros((1, 2)), np.array([0.95])).success
