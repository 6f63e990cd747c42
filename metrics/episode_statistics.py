"""What a set of episodes says about a policy, and how sure one can be."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from envs.pusht import MAX_EPISODE_STEPS
from envs.rollout import Episode


class Metric(NamedTuple):
    """A mean over episodes with its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def summarize(episodes: Sequence[Episode]) -> dict[str, Metric]:
    """Score, success rate, final coverage, steps; the names are those of the logs and of the result cards."""
    if not episodes:
        raise ValueError("there are no figures of no episodes")
    return {
        "score": _mean([episode.score for episode in episodes]),
        "success_rate": _share([episode.success for episode in episodes]),
        "mean_final_coverage": _mean([episode.final_coverage for episode in episodes]),
        "mean_steps": _mean([len(episode.actions) for episode in episodes], largest=MAX_EPISODE_STEPS),
    }


def _mean(values: list[float], largest: float = 1.0) -> Metric:
    """Student's t interval, cut to [0, largest], where all these values lie; all of it where there is one value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Metric(mean, 0.0, largest)
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return Metric(mean, max(0.0, mean - float(half)), min(largest, mean + float(half)))


def _share(hits: list[bool]) -> Metric:
    """Wilson's score interval: also right where nearly all or nearly none succeed."""
    interval = stats.binomtest(sum(hits), len(hits)).proportion_ci(0.95, method="wilson")
    return Metric(float(np.mean(hits)), float(interval.low), float(interval.high))
