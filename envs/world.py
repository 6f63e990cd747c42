"""A world to act in: any environment that is registered with gymnasium, many of them at once.

An ended world waits for the others of its wave: it does nothing, and what it then gives is left out.

N worlds, O observed steps, L steps of an episode, A action dimensions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial, reduce
from typing import Any, ClassVar, TypeAlias, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from PIL import Image, ImageOps

from envs.action_chunking import ActionChunking
from envs.observations import map_observation
from limits import whole
from metrics.confidence_interval import ConfidenceInterval, students_t_interval
from metrics.wilson_interval import wilson_interval

# A policy: observations (N, O, ...) of N episodes, by key where the space is a Dict, and their N indices into the seeds
# -> (N, T, A) actions, T >= n_action_steps
Act: TypeAlias = Callable[[Any, Sequence[int]], np.ndarray]
Wrappers: TypeAlias = Sequence[Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]]]  # the innermost first
MAX_PARALLEL = 1000  # worlds at once, and steps of an action chunk


@dataclass
class Trajectory:
    """What happened from one seed. L steps were carried out."""

    seed: int
    actions: np.ndarray  # (L, A)
    rewards: np.ndarray  # (L,)
    kept: dict[str, np.ndarray] = field(default_factory=dict)  # (L,) after each step, by key of `info`


def _seen(box: Any) -> list[int]:
    """The shape in which a policy sees what a `Box` shows: images (H, W, C) of bytes as (C, H, W)."""
    shape = list(box.shape)
    return [shape[2], *shape[:2]] if box.dtype == np.uint8 and len(shape) == 3 else shape


@dataclass(frozen=True)
class World:
    """A registered environment with `Box` actions, whose observations are a `Box` or a `Dict` of them.

    Args:
        env_id: as `gymnasium.make` takes it, "MODULE:ID" for one that MODULE registers.
        options: arguments of the environment, and of `gymnasium.make` (`max_episode_steps`).
        success_key: an entry of `info`; an episode is a success where it ever is true. None where there is none.
        kept: other entries of `info` whose numbers episodes keep.
        wrappers: put around each environment (gymnasium's, or `envs.disturbances`), the innermost first.

    Raises ValueError for an unknown id, other spaces, or an environment without an end.
    """

    env_id: str
    options: Mapping[str, Any] = field(default_factory=dict)
    success_key: str | None = None
    kept: tuple[str, ...] = ()
    wrappers: Wrappers = ()

    wave: ClassVar[int] = 50  # episodes that are played at once where nothing else is asked for: each has a process

    def __post_init__(self) -> None:
        space = self.env.action_space
        if not isinstance(space, gym.spaces.Box):
            raise ValueError(f"env_id={self.env_id!r} has the actions {space}; a policy gives those of a Box")
        observed = self.env.observation_space
        boxes = observed.spaces.values() if isinstance(observed, gym.spaces.Dict) else [observed]
        if not all(isinstance(box, gym.spaces.Box) for box in boxes):
            raise ValueError(f"env_id={self.env_id!r} shows {observed}; a policy sees a Box, or a Dict of them")
        if not (self.env.spec and self.env.spec.max_episode_steps):
            raise ValueError(
                f"env_id={self.env_id!r} ends after no number of steps; give one, as in env_options: "
                "{max_episode_steps: 500}"
            )

    @cached_property
    def env(self) -> gym.Env[Any, Any]:
        """One of them, closed, to look at its spaces."""
        env = self.make()
        env.close()
        return env

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "env"}  # not every one can be copied

    def make(self, **options: Any) -> gym.Env[Any, Any]:
        """One of them. Raises ValueError, in one line, where it cannot be made."""
        return _make(self.env_id, {**self.options, **options}, self.wrappers)

    def observed_as(self, observation: str | None) -> "World":
        """The same world, showing this kind of observation where it has several; None where it has not."""
        return self

    def check(self, observation_shape: Any, action_dim: int) -> None:
        """Raises ValueError unless a policy's observations and actions are those of this world.

        Also where `info` lacks what episodes keep.
        """
        space = self.env.observation_space
        spaces = space.spaces if isinstance(space, gym.spaces.Dict) else space
        theirs: Any = map_observation(_seen, spaces)
        own: Any = map_observation(list, observation_shape)
        both = isinstance(own, dict) and isinstance(theirs, dict)
        if own != ({key: theirs.get(key) for key in own} if both else theirs):
            raise ValueError(
                f"the policy observes {own}, and {self.env_id} shows {theirs}; name the columns of the data by the "
                "environment's keys, or name another environment"
            )
        if self.env.action_space.shape != (action_dim,):
            raise ValueError(
                f"the policy has action_dim={action_dim}, and {self.env_id} takes actions of the shape "
                f"{self.env.action_space.shape}; name another environment"
            )
        if wanted := self.kept_keys:
            env = self.make()
            env.reset(seed=0)
            info = env.step(env.action_space.sample())[-1]
            env.close()
            if missing := [key for key in wanted if key not in info]:
                raise ValueError(
                    f"success_key={missing[0]!r}: info of {self.env_id} has {', '.join(info) or 'nothing'}; name one "
                    "of these, or none"
                )

    def vector(self, n: int, n_obs_steps: int, n_action_steps: int) -> VectorEnv:
        """`n` worlds, each in its own process, stepped together by action chunks; an ended one stands still."""
        whole(1, MAX_PARALLEL, n=n, n_obs_steps=n_obs_steps, n_action_steps=n_action_steps)
        # What travels to a process is how an environment is made, not the one that was made to be looked at.
        one = self._one_chunked(n_obs_steps, n_action_steps)
        return gym.vector.AsyncVectorEnv([one] * n, autoreset_mode=AutoresetMode.DISABLED)

    def _one_chunked(self, n_obs_steps: int, n_action_steps: int) -> Callable[[], ActionChunking]:
        """Makes one, stepped by action chunks."""
        kept = self.kept_keys
        return partial(_chunked, self.env_id, dict(self.options), self.wrappers, n_action_steps, n_obs_steps, kept)

    @property
    def wrapped_in(self) -> list[str]:
        """The names of the wrappers, the innermost first."""
        names, env = list[str](), self.env
        for _ in self.wrappers:
            names.insert(0, type(env).__name__)
            env = cast(gym.Wrapper[Any, Any, Any, Any], env).env
        return names

    @property
    def kept_keys(self) -> list[str]:
        """Keys of `info` that episodes keep."""
        return list(dict.fromkeys((*self.kept, *([self.success_key] if self.success_key else []))))

    def rollout(
        self,
        act: Act,
        seeds: Sequence[int],
        n_obs_steps: int,
        n_action_steps: int,
        parallel_worlds: int | None = None,
        on_progress: Callable[[int], None] = lambda finished: None,
    ) -> list[Trajectory]:
        """One episode from each seed.

        Seeds are played in waves of `parallel_worlds`, by default of `wave`. `act` sees the observations of those
        episodes of a wave that have not ended, and their indices into `seeds`, so that each episode can have random
        numbers of its own, whatever wave it is in. `on_progress` is called with the number of episodes that ended at a
        step.
        """
        parallel_worlds = self.wave if parallel_worlds is None else parallel_worlds
        whole(1, MAX_PARALLEL, n_obs_steps=n_obs_steps, n_action_steps=n_action_steps, parallel_worlds=parallel_worlds)
        if any(not 0 <= seed < 2**32 for seed in seeds):
            raise ValueError(f"seeds={list(seeds)} must be whole numbers from 0 to {2**32 - 1}")
        episodes: list[Trajectory] = []
        n_worlds = min(parallel_worlds, len(seeds))
        if not n_worlds:
            return episodes
        worlds = self.vector(n_worlds, n_obs_steps, n_action_steps)
        try:
            for first in range(0, len(seeds), n_worlds):
                indices = range(first, min(first + n_worlds, len(seeds)))
                episodes += _wave(act, worlds, indices, [seeds[i] for i in indices], n_action_steps, on_progress)
        finally:
            worlds.close()
        return episodes

    def summarize(self, episodes: Sequence[Trajectory]) -> dict[str, ConfidenceInterval]:
        """Return, success rate where there is a success, and steps, with 95 % intervals; named as in logs."""
        if not episodes:
            raise ValueError("figures need at least one episode; got none")
        figures = {"mean_return": students_t_interval([float(e.rewards.sum()) for e in episodes])}
        if self.success_key is not None:
            successes = sum(bool(e.kept[self.success_key].any()) for e in episodes)
            figures["success_rate"] = wilson_interval(successes, len(episodes))
        return figures | {"mean_steps": students_t_interval([float(len(e.actions)) for e in episodes], low=0.0)}

    def replay(self, episode: Trajectory, size: int) -> Iterator[np.ndarray]:
        """An episode's images (H, W, 3) uint8, by its actions once more. Raises ValueError where it draws none."""
        env = self.make(render_mode="rgb_array")
        low, high = cast(gym.spaces.Box, env.action_space).low, cast(gym.spaces.Box, env.action_space).high
        try:
            env.reset(seed=episode.seed)
            yield _image(env, self.env_id, size)
            for action in episode.actions:
                env.step(np.clip(action, low, high))
                yield _image(env, self.env_id, size)
        finally:
            env.close()


def _make(env_id: str, options: Mapping[str, Any], wrappers: Wrappers = ()) -> gym.Env[Any, Any]:
    try:
        return reduce(lambda env, wrap: wrap(env), wrappers, gym.make(env_id, **options))
    except (gym.error.Error, TypeError, ImportError, ValueError, AssertionError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"env_id={env_id!r} cannot be made with {dict(options)}: {said:.300}") from error


def _chunked(
    env_id: str,
    options: Mapping[str, Any],
    wrappers: Wrappers,
    n_action_steps: int,
    n_obs_steps: int,
    kept: Sequence[str],
) -> ActionChunking:
    env = gym.wrappers.ClipAction(_make(env_id, options, wrappers))
    return ActionChunking(env, n_action_steps, n_obs_steps, kept)


def _image(env: gym.Env[Any, Any], env_id: str, size: int) -> np.ndarray:
    """What an environment draws, within (size, size, 3) uint8."""
    try:
        drawn = env.render()
    except gym.error.Error as error:  # a library that draws is missing
        raise ValueError(f"{env_id} draws no images: {' '.join(str(error).split())}") from error
    return np.asarray(ImageOps.pad(Image.fromarray(np.asarray(drawn, np.uint8)), (size, size), color="white"))


def _wave(
    act: Act,
    worlds: VectorEnv,
    indices: range,
    seeds: list[int],
    n_action_steps: int,
    on_progress: Callable[[int], None],
) -> list[Trajectory]:
    """Episodes from `seeds`, whose indices among all seeds are `indices`; at most as many as there are worlds."""
    actions, steps = [], []
    # The last wave may be short: its spare worlds repeat the last episode's start, and are ignored.
    world_seeds = seeds + seeds[-1:] * (worlds.num_envs - len(seeds))
    observations, _ = worlds.reset(seed=world_seeds)  # type: ignore[arg-type]  # takes a list: gymnasium's type is wrong
    ended = np.arange(worlds.num_envs) >= len(seeds)
    action_dim = worlds.single_action_space.shape[-1]  # type: ignore[index]  # a Box
    while not ended.all():
        going = np.flatnonzero(~ended)
        chunk = np.zeros((worlds.num_envs, n_action_steps, action_dim), np.float32)
        seen = map_observation(lambda values, going=going: values[going], observations)
        chunk[going] = np.asarray(act(seen, [indices[i] for i in going]))[:, :n_action_steps]
        observations, _, terminated, truncated, info = worlds.step(chunk)
        actions.append(chunk)
        steps.append(info["steps"])
        on_progress(int(((terminated | truncated) & ~ended).sum()))
        ended |= terminated | truncated
    carried_out = np.concatenate(actions, 1)  # (N, L, A)
    values = {name: np.concatenate([one[name] for one in steps], 1) for name in steps[0] if name[0] != "_"}  # (N, L)
    rewards = values.pop("reward")
    there = ~np.isnan(rewards)
    return [
        Trajectory(seed, carried_out[i, there[i]], rewards[i, there[i]], {k: v[i, there[i]] for k, v in values.items()})
        for i, seed in enumerate(seeds)
    ]
