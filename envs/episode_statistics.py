"""What a set of episodes says about a policy, and how sure one can be."""

from collections.abc import Sequence

from envs.episode import Episode
from envs.pusht import MAX_EPISODE_STEPS
from metrics.confidence_interval import ConfidenceInterval, students_t_interval
from metrics.wilson_interval import wilson_interval


def summarize(episodes: Sequence[Episode]) -> dict[str, ConfidenceInterval]:
    """Score, success rate, final coverage and steps, with 95 % intervals; named as in logs and result cards."""
    if not episodes:
        raise ValueError("figures need at least one episode; got none")
    scores, coverages = [e.score for e in episodes], [e.final_coverage for e in episodes]
    steps = [float(len(e.actions)) for e in episodes]
    return {
        "score": students_t_interval(scores, low=0.0, high=1.0),
        "success_rate": wilson_interval(sum(e.success for e in episodes), len(episodes)),
        "mean_final_coverage": students_t_interval(coverages, low=0.0, high=1.0),
        "mean_steps": students_t_interval(steps, low=0.0, high=float(MAX_EPISODE_STEPS)),
    }
