"""Push-T: push a T-shaped block onto its target with a round pointer.

The world of Chi et al. 2023, "Diffusion Policy", and of `gym_pusht/PushT-v0`: a 512 x 512 plane (y down) without
inertia, a kinematic pointer of radius 15 that a PD law drives to the action, a T that only moves when it is pushed.
One `step` is 0.1 s: ten physics steps of 0.01 s.
"""

import math
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np
import pymunk

from envs import tee
from envs.drawing import draw

ObservationKind = Literal["state", "keypoints", "pixels"]

POINTER_RADIUS = 15.0
PROPORTIONAL_GAIN, DERIVATIVE_GAIN = 100.0, 20.0
CONTROL_HZ = 10
PHYSICS_DT = 0.01
PHYSICS_STEPS = round(1 / (CONTROL_HZ * PHYSICS_DT))
MAX_EPISODE_STEPS = 300
SUCCESS_COVERAGE = 0.95
PIXELS = 96


def reward_of(coverage: float) -> float:
    """min(coverage / 0.95, 1): 1 exactly where an episode counts as solved."""
    return min(float(coverage) / SUCCESS_COVERAGE, 1.0)


def legacy_state(seed: int) -> np.ndarray:
    """The start state that the paper's own environment draws for a seed (`legacy_test`): (5,) as in `PushT`.

    Published figures were measured on seeds 100000 and up of this rule.
    """
    random = np.random.RandomState(seed)
    return np.array(
        [
            random.randint(50, 450),
            random.randint(50, 450),
            random.randint(100, 400),
            random.randint(100, 400),
            random.randn() * 2 * np.pi - np.pi,
        ]
    )


class PushT(gym.Env):
    """Gymnasium environment `firstlight/PushT-v0`.

    Action: (2,) target position of the pointer, pixels in [0, 512].
    Reward: min(coverage / 0.95, 1). Terminates when the coverage exceeds 0.95; truncated after 300 steps when made
    through `gymnasium.make`.

    Observation, by `observation`:
        "state"      (5,) pointer x, y, block x, y, angle in [0, 2 pi)
        "keypoints"  (18,) pointer x, y, then x, y of the block's corners 0 to 7 (drawn in `envs.tee`)
        "pixels"     (96, 96, 3) uint8 picture

    `legacy_resets=True` starts a seeded episode where the paper's environment starts it (see `legacy_state`); without
    a seed, one is drawn from `np_random`. The default draws the same distributions as `gym_pusht` from `np_random`.

    `reset(options={"reset_to_state": state})` starts at that state; the observation reads it back exactly. The
    benchmark does not: it sets the position first and the angle second, which turns the block about its centre of
    gravity and moves its origin. Random and legacy resets keep that order, as published figures depend on it; for a
    given state, `options={"reset_to_state": state, "benchmark_order": True}` does the same.

    `info` holds `coverage`, `is_success` and `block_pose` (3,); with `count_contacts=True` also `n_contacts`, the
    contact points per physics step, rounded up, as in the human data.
    """

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}

    def __init__(
        self,
        observation: ObservationKind = "state",
        legacy_resets: bool = False,
        render_mode: str | None = None,
        render_size: int = 512,
        count_contacts: bool = False,
    ):
        low, high = np.zeros(2), np.full(2, tee.WORLD)
        # A pushed corner can leave the world by a few pixels: the keypoints' bounds leave room for the whole T.
        margin = 4 * tee.UNIT
        spaces = {
            "state": (
                gym.spaces.Box(np.zeros(5), np.array([*high, *high, 2 * np.pi]), dtype=np.float64),
                lambda: np.array([*self._pointer.position, *self.block_pose()]),
            ),
            "keypoints": (
                gym.spaces.Box(
                    np.concatenate([low, np.full(16, -margin)]),
                    np.concatenate([high, np.full(16, tee.WORLD + margin)]),
                    dtype=np.float64,
                ),
                lambda: np.concatenate([self._pointer.position, self._corners.ravel()]),
            ),
            "pixels": (
                gym.spaces.Box(0, 255, (PIXELS, PIXELS, 3), np.uint8),
                lambda: draw(self._pointer.position, self.block_pose(), PIXELS),
            ),
        }
        if observation not in spaces:
            raise ValueError(f"observation={observation!r} is unknown; use one of {', '.join(spaces)}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode={render_mode!r} is unknown; use 'rgb_array' or None")
        self.observation_space, self._observe = spaces[observation]
        self.action_space = gym.spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)
        self.legacy_resets = legacy_resets
        self.render_mode = render_mode
        self.render_size = render_size
        self.count_contacts = count_contacts

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        options = options or {}
        state = options.get("reset_to_state")
        benchmark_order = state is None or options.get("benchmark_order", False)
        if state is None:
            state = self._draw_state(seed)
        state = np.asarray(state, dtype=np.float64)
        if state.shape != (5,) or not np.isfinite(state).all():
            raise ValueError(
                f"reset_to_state takes 5 finite numbers (pointer x, y, block x, y, angle); got {state.tolist()}"
            )
        self._build_world()
        self._pointer.position = tuple(state[:2])
        if benchmark_order:
            self._block.position = tuple(state[2:4])
            self._block.angle = state[4]
            self._space.step(PHYSICS_DT)  # the benchmark lets overlapping bodies part for one physics step
        else:
            self._block.angle = state[4]
            self._block.position = tuple(state[2:4])
            self._space.reindex_shapes_for_body(self._block)
            self._space.reindex_shapes_for_body(self._pointer)
        info = self._info()
        return self._observe(), info

    def step(self, action):
        target_x, target_y = float(action[0]), float(action[1])
        if not (np.isfinite(target_x) and np.isfinite(target_y)):
            raise ValueError(f"an action is a finite position in pixels; got {np.asarray(action).tolist()}")
        pointer, space = self._pointer, self._space
        contacts: list[int] = []
        x, y = pointer.position
        vx, vy = pointer.velocity
        # The pointer is kinematic: nothing deflects it, so its path is known before the physics runs.
        for _ in range(PHYSICS_STEPS):
            vx += (PROPORTIONAL_GAIN * (target_x - x) - DERIVATIVE_GAIN * vx) * PHYSICS_DT
            vy += (PROPORTIONAL_GAIN * (target_y - y) - DERIVATIVE_GAIN * vy) * PHYSICS_DT
            pointer.velocity = vx, vy
            space.step(PHYSICS_DT)
            x += vx * PHYSICS_DT
            y += vy * PHYSICS_DT
            if self.count_contacts:
                self._block.each_arbiter(lambda arbiter: contacts.append(len(arbiter.contact_point_set.points)))
        info = self._info()
        if self.count_contacts:
            info["n_contacts"] = math.ceil(sum(contacts) / PHYSICS_STEPS)
        return self._observe(), reward_of(info["coverage"]), info["is_success"], False, info

    def render(self):
        """(render_size, render_size, 3) uint8 picture of the world now."""
        if self.render_mode is None:
            return None
        return draw(self._pointer.position, self.block_pose(), self.render_size)

    def block_pose(self) -> np.ndarray:
        """(3,) the block's x, y and angle in [0, 2 pi)."""
        x, y = self._block.position
        return np.array([x, y, self._block.angle % (2 * np.pi)])

    def pointer_position(self) -> np.ndarray:
        """(2,) the pointer's x and y."""
        return np.array(self._pointer.position)

    def _info(self) -> dict[str, Any]:
        """Facts about the block as it lies now; keeps its corners, which observations show too."""
        pose = self.block_pose()
        self._corners = tee.corners(pose)
        coverage = float(tee.overlap(self._corners))
        return {"coverage": coverage, "is_success": coverage > SUCCESS_COVERAGE, "block_pose": pose}

    def _draw_state(self, seed: int | None) -> np.ndarray:
        random = self.np_random
        if self.legacy_resets:
            return legacy_state(int(random.integers(2**31)) if seed is None else seed)
        return np.array(
            [
                random.integers(50, 450),
                random.integers(50, 450),
                random.integers(100, 400),
                random.integers(100, 400),
                random.uniform(-np.pi, np.pi),
            ]
        )

    def _build_world(self) -> None:
        """A fresh space for each episode: no cached contact of the last one can leak into this one."""
        space = pymunk.Space()
        space.gravity = 0, 0
        space.damping = 0.0  # velocities die within a step: things move only while they are pushed
        near, far = 5, 506
        walls = [
            pymunk.Segment(space.static_body, a, b, 2)
            for a, b in [
                ((near, far), (near, near)),
                ((near, near), (far, near)),
                ((far, near), (far, far)),
                ((near, far), (far, far)),
            ]
        ]
        space.add(*walls)

        self._pointer = pymunk.Body(body_type=pymunk.Body.KINEMATIC)
        space.add(self._pointer, pymunk.Circle(self._pointer, POINTER_RADIUS))

        # As in the benchmark: mass 1, the bar's moment of inertia counted for both parts, and the centre of gravity
        # in the middle between the two parts' centres.
        bar, stem = tee.BAR.tolist(), tee.STEM.tolist()
        self._block = pymunk.Body(1, 2 * pymunk.moment_for_poly(1, bar))
        shapes = [pymunk.Poly(self._block, bar), pymunk.Poly(self._block, stem)]
        self._block.center_of_gravity = (shapes[0].center_of_gravity + shapes[1].center_of_gravity) / 2
        space.add(self._block, *shapes)
        self._space = space
