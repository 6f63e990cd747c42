"""Figures of a set of episodes."""

import numpy as np
import pytest
from scipy import stats

from envs.episode import Episode
from envs.episode_statistics import summarize


def test_metrics_of_known_episodes():
    def episode(*coverages):
        return Episode(0, np.zeros((len(coverages), 2)), np.array(coverages))

    solved, half = episode(0.2, 0.96), episode(0.475, 0.1)
    assert (solved.score, solved.success, solved.final_coverage) == (1.0, True, 0.96)
    assert (half.score, half.success, half.final_coverage) == (0.5, False, 0.1)
    metrics = summarize([solved, half, half])
    assert metrics["score"].mean == pytest.approx(2 / 3)
    assert metrics["success_rate"].mean == pytest.approx(1 / 3)
    assert summarize([solved, episode(*[0.1] * 300)])["mean_steps"] == pytest.approx((151, 0, 300))  # cut to 0..300
    # Wilson's interval from its formula
    n, p, z = 3, 1 / 3, stats.norm.ppf(0.975)
    centre, half_width = (
        (p + z**2 / (2 * n)) / (1 + z**2 / n),
        z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n),
    )
    assert metrics["success_rate"][1:] == pytest.approx((centre - half_width, centre + half_width))
    interval = stats.t.interval(0.95, 2, loc=2 / 3, scale=stats.sem([1, 0.5, 0.5]))
    assert metrics["score"][1:] == pytest.approx((max(0, interval[0]), min(1, interval[1])))


def test_no_episode_has_no_figures():
    with pytest.raises(ValueError, match="at least one episode"):
        summarize([])
