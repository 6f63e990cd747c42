"""Which of its own episodes a policy learns from."""

import numpy as np
import pytest

from envs.episode import Episode
from planning.self_imitation import shortest_successes


def episode(seed, length, success):
    return Episode(seed, np.zeros((length, 2)), np.full(length, 0.97 if success else 0.5))


def test_the_shortest_success_of_each_seed_is_kept():
    episodes = [episode(3, 30, True), episode(1, 20, True), episode(2, 10, False), episode(0, 40, True)]
    episodes += [episode(3, 15, False), episode(3, 18, True), episode(1, 60, True)]
    kept = shortest_successes(episodes, 2)
    assert [(e.seed, len(e.actions)) for e in kept] == [(1, 20), (3, 18)]


def test_nothing_succeeds():
    assert shortest_successes([episode(0, 3, False)], 5) == []


def test_none_to_keep_is_refused():
    with pytest.raises(ValueError, match="keep=0"):
        shortest_successes([], 0)
