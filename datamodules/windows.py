"""Episodes as windows: what a policy saw, and the actions that followed.

For step t of an episode, with O = n_obs_steps and T = horizon:

    observation    t-O+1 .. t         (O, ...)
    action                t .. t+T-1  (T, A)
    action_is_pad         t .. t+T-1  (T,)    whether that action lies past the end of the episode

Before an episode's first step its first observation is repeated, after its last one its last action, as padding.

B windows of a batch, A action dimensions.
"""

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

import limits
from datamodules.device_resident import ResidentSet, index_on
from datamodules.episodes import Episodes
from envs.observations import arrays, map_observation

LONGEST = 10_000  # steps of a window at most: nothing that anybody records acts on more at once


class Windows(ResidentSet):
    """Windows of some episodes, a batch at a time.

    {"observation": (B, O, ...), "action": (B, T, A), "action_is_pad": (B, T), "index": (B,)}; the index is a window's
    place among all. A window starts at every step of an episode from which at most `pad_after` of its actions lie past
    the end.

    Args:
        recorded: all episodes.
        episodes: which of them, by number.
        n_obs_steps: O.
        horizon: T.
        pad_after: how many actions of a window may be padding.
    """

    held = ("actions", "steps", "first", "last")  # and the observations, which may be several tensors

    def __init__(self, recorded: Episodes, episodes: Tensor, n_obs_steps: int, horizon: int, pad_after: int):
        check_window(n_obs_steps, horizon, pad_after)
        self.recorded, self.n_obs_steps, self.horizon = recorded, n_obs_steps, horizon
        self.observations, self.actions = recorded.observations, recorded.actions
        counts = (recorded.lengths - horizon + 1 + pad_after).clamp(max=recorded.lengths)[episodes]  # windows of each
        if (counts < 1).any():
            shortest = int(recorded.lengths[episodes].min())
            raise ValueError(
                f"an episode of {shortest} steps is shorter than the horizon: horizon={horizon} with pad_after="
                f"{pad_after} needs at least {horizon - pad_after}; use a smaller horizon or leave the episode out"
            )
        self.steps = torch.cat([recorded.starts[e] + torch.arange(n) for e, n in zip(episodes, counts, strict=True)])
        self.first = recorded.starts[episodes].repeat_interleave(counts)
        self.last = recorded.ends[episodes].repeat_interleave(counts) - 1

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def nbytes(self) -> int:
        """The memory that `to` takes."""
        return super().nbytes + sum(values.nbytes for values in arrays(self.observations))

    def to(self, device: torch.device | str) -> Self:
        """The same windows on a device."""
        moved = super().to(device)
        moved.observations = map_observation(lambda values: values.to(device), self.observations)
        return moved

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        index = index_on(self.steps.device, indices)
        now, first, last = (values[index, None] for values in (self.steps, self.first, self.last))  # (B, 1)
        past = (now + torch.arange(1 - self.n_obs_steps, 1, device=index.device)).maximum(first)  # (B, O)
        future = now + torch.arange(self.horizon, device=index.device)  # (B, T)
        return {
            "observation": map_observation(lambda values: values[past], self.observations),
            "action": self.actions[future.minimum(last)],
            "action_is_pad": future > last,
            "index": index,
        }

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {
            name: map_observation(lambda values: values[0], values)
            for name, values in self.__getitems__([index]).items()
        }


def check_window(n_obs_steps: int, horizon: int, pad_after: int) -> None:
    """Raises ValueError for numbers that make no window."""
    limits.whole(1, LONGEST, n_obs_steps=n_obs_steps, horizon=horizon)
    limits.whole(0, LONGEST, pad_after=pad_after)
    if pad_after >= horizon:
        raise ValueError(f"pad_after={pad_after} must be less than horizon={horizon}")
