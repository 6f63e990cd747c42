"""Disturbances of Push-T, as wrappers of gymnasium's: what a policy meets that its demonstrations did not show.

    world = PushTWorld(wrappers=(BlockPush, partial(KeypointNoise, std=2.0)))

What they draw follows from the episode's seed alone, each from a generator of its own.
"""

from typing import Any

import gymnasium as gym
import numpy as np

import limits
from envs import t_block
from envs.physics import distance_to_block, to_block, to_world
from envs.pusht import MAX_EPISODE_STEPS, POINTER_RADIUS, WALL_FAR, WALL_NEAR, WALL_RADIUS, PushT

Reset = tuple[np.ndarray, dict[str, Any]]
Step = tuple[np.ndarray, float, bool, bool, dict[str, Any]]


class Disturbance(gym.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """Around `PushT`; ValueError around another environment."""

    def __init__(self, env: gym.Env[np.ndarray, np.ndarray]):
        super().__init__(env)
        if not isinstance(env.unwrapped, PushT):
            raise ValueError(f"{type(self).__name__} disturbs firstlight/PushT-v0; got {env}")
        self.world = env.unwrapped

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Begin an episode; `self.random` is then this disturbance's own generator for it."""
        result = self.env.reset(seed=seed, options=options)
        (self.random,) = self.world.np_random.spawn(1)
        return result


class BlockPush(Disturbance):
    """Something else moves the block, once in an episode.

    At the beginning of a control step it is turned about its centre of gravity by up to `angle`, and moved by up to
    `distance` in a random direction, all amounts equally likely, and lies at rest. The step is one of the first
    `within`, each equally likely. A push that would bring the block onto a wall or the pointer is not done, and another
    one is drawn for the next step.

    Few episodes of a good policy in Push-T are shorter than 50 steps. `info["pushed"]` says whether it has happened.

    Args:
        env: a `PushT`, or one in wrappers.
        distance: pixels.
        angle: radians.
        within: control steps.
    """

    def __init__(
        self,
        env: gym.Env[np.ndarray, np.ndarray],
        distance: float = 60.0,
        angle: float = 0.5,
        within: int = 50,
    ):
        super().__init__(env)
        limits.number("[0, 512]", distance=distance)
        limits.number("[0, 3.2]", angle=angle)
        limits.whole(1, MAX_EPISODE_STEPS, within=within)
        self.distance, self.angle, self.within = distance, angle, within

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Begin an episode, and draw when it is disturbed."""
        observation, info = super().reset(seed=seed, options=options)
        self._wait = int(self.random.integers(self.within))  # steps
        self._pushed = False
        return observation, {**info, "pushed": False}

    def step(self, action: np.ndarray) -> Step:
        """As `PushT`'s, the push before it."""
        if self._wait == 0 and not self._pushed:
            self._push()
        else:
            self._wait = max(0, self._wait - 1)
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward), terminated, truncated, {**info, "pushed": self._pushed}

    def _push(self) -> None:
        turn, length, direction = self.random.uniform([-self.angle, 0.0, -np.pi], [self.angle, self.distance, np.pi])
        move = np.array([length * np.cos(direction), length * np.sin(direction), turn])
        pose = displaced(self.world.block_pose(), move)
        corners = t_block.corners(pose)
        inside = ((corners >= WALL_NEAR + WALL_RADIUS) & (corners <= WALL_FAR - WALL_RADIUS)).all()
        gap = distance_to_block(to_block(self.world.pointer_position()[None], pose[None]))[0] - POINTER_RADIUS
        if inside and gap >= 0:
            self.world.move_block(pose)
            self._pushed = True


def displaced(pose: np.ndarray, move: np.ndarray) -> np.ndarray:
    """A block's pose (3,) after a move (3,): x and y in pixels, and radians about its centre of gravity."""
    turned = np.array([*pose[:2], pose[2] + move[2]])
    before, after = (to_world(t_block.CENTRE_OF_GRAVITY[None], one[None])[0] for one in (pose, turned))
    turned[:2] += before - after + move[:2]
    return turned


class KeypointNoise(Disturbance):
    """Gaussian noise on every observed keypoint, the pointer's too, new at each step; "pixels" and "state" have none.

    Args:
        env: a `PushT` that shows keypoints, or one in wrappers.
        std: pixels, of x and of y.
    """

    def __init__(self, env: gym.Env[np.ndarray, np.ndarray], std: float = 2.0):
        super().__init__(env)
        limits.number("[0, 512]", std=std)
        if self.world.observation != "keypoints":
            raise ValueError(f"KeypointNoise needs the observation 'keypoints'; got {self.world.observation!r}")
        self.std = std
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, env.observation_space.shape, np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Begin an episode."""
        observation, info = super().reset(seed=seed, options=options)
        return self._noisy(observation), info

    def step(self, action: np.ndarray) -> Step:
        """As `PushT`'s."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._noisy(observation), float(reward), terminated, truncated, info

    def _noisy(self, observation: np.ndarray) -> np.ndarray:
        return observation + self.random.normal(0.0, self.std, observation.shape)


class ActionDelay(Disturbance):
    """Each action is carried out some control steps later; until the first one, the pointer stays where it is.

    Args:
        env: a `PushT`, or one in wrappers.
        steps: control steps of 0.1 s.
    """

    def __init__(self, env: gym.Env[np.ndarray, np.ndarray], steps: int = 1):
        super().__init__(env)
        limits.whole(0, MAX_EPISODE_STEPS, steps=steps)
        self.steps = steps

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Begin an episode."""
        result = super().reset(seed=seed, options=options)
        self._waiting = [self.world.pointer_position()] * self.steps
        return result

    def step(self, action: np.ndarray) -> Step:
        """As `PushT`'s, with the action of `steps` steps before."""
        self._waiting.append(np.array(action))
        observation, reward, terminated, truncated, info = self.env.step(self._waiting.pop(0))
        return observation, float(reward), terminated, truncated, info


class PointerDamping(Disturbance):
    """The pointer is damped more heavily, or less: the derivative gain of its PD law times `factor`.

    The block has no speed that damping could take away: it moves only while it is pushed.

    Args:
        env: a `PushT`, or one in wrappers.
        factor: 1 is `PushT` as it is; its own gain is that of critical damping.
    """

    def __init__(self, env: gym.Env[np.ndarray, np.ndarray], factor: float = 1.2):
        super().__init__(env)
        limits.number("[0, 5]", factor=factor)  # the pointer's steps of 0.01 s diverge from 10 on
        self.world.derivative_gain *= factor
