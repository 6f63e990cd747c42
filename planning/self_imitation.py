"""Filtered self-imitation: which of a policy's own episodes it learns from."""

from collections.abc import Iterable

import limits
from envs.episode import Episode


def shortest_successes(episodes: Iterable[Episode], keep: int) -> list[Episode]:
    """Of each seed the shortest success, of those the `keep` shortest, in the order of their seeds.

    Taking the best of several attempts prefers decided episodes without preferring easy starts.
    """
    limits.whole(keep=keep)
    shortest: dict[int, Episode] = {}
    for episode in sorted((e for e in episodes if e.success), key=lambda e: len(e.actions)):
        shortest.setdefault(episode.seed, episode)
    return sorted(list(shortest.values())[:keep], key=lambda e: e.seed)
