"""Push-T as a world to roll out in: its own figures and videos."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from envs import PUSHT_ID, video
from envs.action_chunking import VectorActionChunking
from envs.episode import episodes_of
from envs.episode_statistics import summarize
from envs.pusht_vector import PushTVector
from envs.world import MAX_PARALLEL, Trajectory, World
from limits import whole
from metrics.confidence_interval import ConfidenceInterval


class _WaitingWorlds(SyncVectorEnv):
    """Action chunking lets an episode that has ended wait for the others, which gymnasium takes for a mistake."""

    def step(self, actions: Any) -> Any:
        self._autoreset_envs[:] = False
        return super().step(actions)


@dataclass(frozen=True)
class PushTWorld(World):
    """Push-T with the paper's own initial states; episodes end in success when the coverage exceeds 0.95."""

    env_id: str = PUSHT_ID
    options: Mapping[str, Any] = field(default_factory=lambda: {"observation": "keypoints", "legacy_resets": True})
    kept: tuple[str, ...] = ("coverage",)

    wave: ClassVar[int] = 500  # all in one process

    def observed_as(self, observation: str | None) -> "PushTWorld":
        """The same world with the policy's observation: state, keypoints or pixels."""
        return self if observation is None else replace(self, options={**self.options, "observation": observation})

    def vector(self, n: int, n_obs_steps: int, n_action_steps: int) -> VectorEnv:
        """`n` worlds in this process, stepped together by action chunks; an ended one stands still."""
        whole(1, MAX_PARALLEL, n=n, n_obs_steps=n_obs_steps, n_action_steps=n_action_steps)
        if self.wrappers:  # around a single environment each, whose states are the same
            one = self._one_chunked(n_obs_steps, n_action_steps)
            return _WaitingWorlds([one] * n, autoreset_mode=AutoresetMode.DISABLED)
        worlds = PushTVector(n, autoreset_mode=AutoresetMode.DISABLED, **self.options)
        return VectorActionChunking(worlds, n_action_steps, n_obs_steps, self.kept_keys)

    def summarize(self, episodes: Sequence[Trajectory]) -> dict[str, ConfidenceInterval]:
        """Score, success rate, final coverage and steps (`envs.episode_statistics`)."""
        return summarize(episodes_of(episodes))

    def replay(self, episode: Trajectory, size: int) -> Iterator[np.ndarray]:
        """An episode's images (size, size, 3) uint8, the next eight actions drawn as dots."""
        (played,) = episodes_of([episode])
        legacy_resets = bool(self.options.get("legacy_resets", False))
        return iter(video.frames(played, size, legacy_resets, self.wrappers))
