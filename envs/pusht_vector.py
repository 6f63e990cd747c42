"""Many Push-T worlds in one process, stepped together: gymnasium's vector environment of `firstlight/PushT-v0`.

    worlds = gymnasium.make_vec("envs:firstlight/PushT-v0", 50, vectorization_mode="vector_entry_point")

Each world is a `PushT` of its own, which begins its episodes; what follows from an action is computed for all at once,
and the physics through compiled functions (`envs.compiled_space`). States, rewards and infos are those of `PushT`.

N worlds, S physics steps in a control step.
"""

import math
import weakref
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

import limits
from envs import t_block
from envs.compiled_space import CompiledSpace, vectors
from envs.drawing import PLAIN, Colours, draw
from envs.physics import pointer_paths
from envs.pusht import (
    MAX_EPISODE_STEPS,
    PHYSICS_STEPS,
    PIXELS,
    SUCCESS_COVERAGE,
    ObservationKind,
    PushT,
)

MAX_WORLDS = 10_000


def _forget(worlds: list[PushT], spaces: dict[int, CompiledSpace]) -> None:
    spaces.clear()
    worlds.clear()


class PushTVector(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N worlds, as `gymnasium.vector.SyncVectorEnv` shows N environments.

    `step` takes targets of the pointers (N, 2) and gives observations (N, ...), rewards, terminations and truncations
    (N,), and the entries of `PushT`'s `info` as arrays (N, ...), each with a mask `_NAME` (N,) of the worlds that have
    it. An episode that has ended goes on by `autoreset_mode`: it begins anew at the next step (gymnasium's default), at
    the same one, or, "disabled", stands still until `reset(options={"reset_mask": mask})` names its world.

    Args:
        num_envs: N.
        max_episode_steps: steps after which an episode is truncated.
        autoreset_mode: gymnasium's "NextStep", "SameStep" or "Disabled".
        observation, legacy_resets, render_mode, render_size, count_contacts, colours: as `PushT`'s. Counting contacts
            takes the slow way through pymunk's Python objects.
    """

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int = MAX_EPISODE_STEPS,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        observation: ObservationKind = "state",
        legacy_resets: bool = False,
        render_mode: str | None = None,
        render_size: int = 512,
        count_contacts: bool = False,
        colours: Colours = PLAIN,
    ):
        limits.whole(1, MAX_WORLDS, num_envs=num_envs)
        limits.whole(max_episode_steps=max_episode_steps)
        modes = [mode.value for mode in AutoresetMode]
        if autoreset_mode not in (*AutoresetMode, *modes):
            raise ValueError(f"autoreset_mode={autoreset_mode!r} is unknown; use one of {', '.join(modes)}")
        shown = PushT(observation, legacy_resets, render_mode, render_size, count_contacts, colours)
        self.num_envs, self.max_episode_steps = num_envs, max_episode_steps
        self.observation, self.render_mode, self.render_size = observation, render_mode, render_size
        self.colours = colours
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**PushT.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space, self.single_action_space = shown.observation_space, shown.action_space
        self.observation_space = batch_space(shown.observation_space, num_envs)
        self.action_space = batch_space(shown.action_space, num_envs)
        self._count_contacts = count_contacts
        # Observations are made for all worlds together: none makes its own.
        self._worlds = [PushT("state", legacy_resets, count_contacts=count_contacts) for _ in range(num_envs)]
        self._spaces: dict[int, CompiledSpace] = {}  # of the worlds whose first episode has begun
        # Physics that lives until the interpreter ends finds its library gone, and says so a line for every shape.
        weakref.finalize(self, _forget, self._worlds, self._spaces)
        self._pointers = np.zeros((num_envs, 4))  # position and velocity
        self._poses = np.zeros((num_envs, 3))  # of the blocks, angles in [0, 2 pi)
        self._coverages = np.zeros(num_envs)
        self._steps = np.zeros(num_envs, int)  # of the episode
        self._terminated, self._truncated = np.zeros(num_envs, bool), np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode in every world, or in those of `options["reset_mask"]` (N,) bool.

        `seed` is a list of one for each world, or the first world's, and then the next has the next. Other options are
        `PushT`'s, for all worlds. Raises ValueError for another number of seeds, or a mask that is none.
        """
        if isinstance(seed, Integral):
            seeds: list[int | None] = [int(seed) + number for number in range(self.num_envs)]
        else:
            seeds = [None] * self.num_envs if seed is None else list(seed)  # type: ignore[arg-type]  # no int: Integral
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} worlds; give one for each, or the first one's")
        options = dict(options or {})
        mask = options.pop("reset_mask", np.ones(self.num_envs, bool))
        if not (isinstance(mask, np.ndarray) and mask.dtype == bool and mask.shape == (self.num_envs,) and mask.any()):
            raise ValueError(f"reset_mask must be an array of {self.num_envs} booleans, at least one of them True")
        self._begin(mask, seeds, options)
        return self._observe(), self._info(mask)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Drive the pointers towards `actions` (N, 2) pixels for 0.1 s; ValueError unless all are finite numbers."""
        if len(self._spaces) < self.num_envs:
            raise ResetNeeded("call reset before anything else: not every world has begun an episode")
        targets = self._targets(actions)
        nothing, ended = np.zeros(self.num_envs, bool), self._terminated | self._truncated
        going = ~nothing if self.autoreset_mode == AutoresetMode.SAME_STEP else ~ended
        fresh = ended if self.autoreset_mode == AutoresetMode.NEXT_STEP else nothing
        self._begin(fresh)
        contacts = self._drive(np.flatnonzero(going), targets)
        self._steps[going] += 1
        self._terminated[going] = self._coverages[going] > SUCCESS_COVERAGE
        self._truncated[going] = self._steps[going] >= self.max_episode_steps
        rewards = np.where(going, np.minimum(self._coverages / SUCCESS_COVERAGE, 1.0), 0.0)
        result = rewards, self._terminated.copy(), self._truncated.copy()
        info = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            fresh = self._terminated | self._truncated
            info = self._final(fresh, contacts)
            self._begin(fresh)
        return self._observe(), *result, info | self._info(~nothing) | self._contacts(contacts, going & ~fresh)

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Of each world an image (render_size, render_size, 3) uint8; None without a render mode."""
        if self.render_mode is None:
            return None
        if len(self._spaces) < self.num_envs:
            raise ResetNeeded("call reset before anything else: not every world has begun an episode")
        return tuple(draw(self._pointers[:, :2], self._poses, self.render_size, colours=self.colours))

    def _targets(self, actions: Any) -> np.ndarray:
        """Actions as (N, 2) float64."""
        given = np.asarray(actions)
        if given.shape != (self.num_envs, 2) or given.dtype.kind not in "iuf":
            raise ValueError(
                f"actions are numbers of the shape {(self.num_envs, 2)}, x and y in pixels for each world; got "
                f"{given.dtype} of the shape {given.shape}"
            )
        given = given.astype(np.float64)
        finite = np.isfinite(given).all(1)
        if not finite.all():
            world = int(np.flatnonzero(~finite)[0])
            raise ValueError(
                f"an action is two finite numbers, x and y in pixels; that of world {world} is {given[world].tolist()}"
            )
        return np.clip(given, 0, t_block.WORLD)

    def _begin(
        self, mask: np.ndarray, seeds: Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> None:
        """New episodes in the worlds of a mask (N,)."""
        for i in np.flatnonzero(mask).tolist():
            world = self._worlds[i]
            state, info = world.reset(seed=seeds[i] if seeds else None, options=options)
            self._spaces[i] = CompiledSpace(world)
            self._pointers[i] = *state[:2], 0.0, 0.0
            self._poses[i], self._coverages[i] = info["block_pose"], info["coverage"]
        self._steps[mask] = 0
        self._terminated[mask] = self._truncated[mask] = False

    def _drive(self, worlds: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """One control step of some worlds; the contact points (N,) where they are counted."""
        contacts = np.zeros(self.num_envs, int)
        positions, velocities = pointer_paths(self._pointers[worlds], targets[worlds, None])  # (n, 1, S, 2)
        self._pointers[worlds] = np.concatenate([positions[:, 0, -1], velocities[:, 0, -1]], 1)
        if self._count_contacts:
            for i in worlds:
                contacts[i] = math.ceil(self._worlds[i]._drive(*targets[i].tolist()) / PHYSICS_STEPS)
        else:
            driven = vectors(velocities)
            for k, i in enumerate(worlds.tolist()):
                self._spaces[i].drive(driven, k * PHYSICS_STEPS)
        poses = np.array([self._spaces[i].pose() for i in worlds.tolist()]).reshape(-1, 3)
        poses[:, 2] %= 2 * np.pi
        moved = (poses != self._poses[worlds]).any(1)
        self._poses[worlds] = poses
        self._coverages[worlds[moved]] = t_block.coverage(poses[moved])
        return contacts

    def _observe(self) -> np.ndarray:
        pointers = self._pointers[:, :2]
        if self.observation == "state":
            return np.concatenate([pointers, self._poses], 1)
        if self.observation == "keypoints":
            return np.concatenate([pointers, t_block.corners(self._poses).reshape(-1, 16)], 1)
        return draw(pointers, self._poses, PIXELS, colours=self.colours)

    def _info(self, mask: np.ndarray) -> dict[str, Any]:
        """Of the worlds of a mask (N,), as gymnasium puts entries of several worlds together: zeros for the others."""
        coverages = np.where(mask, self._coverages, 0.0)
        values = {
            "coverage": coverages,
            "is_success": coverages > SUCCESS_COVERAGE,
            "block_pose": np.where(mask[:, None], self._poses, 0.0),
        }
        return values | {f"_{name}": mask.copy() for name in values}

    def _contacts(self, contacts: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        if not (self._count_contacts and mask.any()):
            return {}
        return {"n_contacts": np.where(mask, contacts, 0), "_n_contacts": mask}

    def _final(self, ended: np.ndarray, contacts: np.ndarray) -> dict[str, Any]:
        """What episodes showed last that ended at this step; nothing where none did."""
        if not ended.any():
            return {}
        observations = np.full(self.num_envs, None, dtype=object)
        seen = self._observe()
        for i in np.flatnonzero(ended):
            observations[i] = seen[i]
        facts = self._info(ended) | self._contacts(contacts, ended.copy())
        return {"final_obs": observations, "final_info": facts, "_final_obs": ended.copy(), "_final_info": ended.copy()}
