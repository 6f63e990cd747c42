"""Push-T: push a T-shaped block onto its target with a round pointer.

The world of Chi et al. 2023, "Diffusion Policy", and of `gym_pusht/PushT-v0`: a 512 x 512 plane (y down) without
inertia, a kinematic pointer of radius 15 that a PD law drives to the action, a T that only moves when it is pushed.
One `step` is 0.1 s: ten physics steps of 0.01 s.
"""

import math
from array import array
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import pymunk
from gymnasium.error import ResetNeeded

import limits
from envs import t_block
from envs.drawing import MAX_IMAGE_SIZE, PLAIN, Colours, draw

ObservationKind = Literal["state", "keypoints", "pixels"]

POINTER_RADIUS = 15.0
PROPORTIONAL_GAIN, DERIVATIVE_GAIN = 100.0, 20.0
CONTROL_HZ = 10
PHYSICS_DT = 0.01
PHYSICS_STEPS = round(1 / (CONTROL_HZ * PHYSICS_DT))
MAX_EPISODE_STEPS = 300
SUCCESS_COVERAGE = 0.95
WALL_NEAR, WALL_FAR, WALL_RADIUS = 5, 506, 2
PIXELS = 96
# The block moves only while it is pushed, the pointer reaches 15 px past the edge, the T is 142 px long: pushed out as
# far as a search could, no corner got farther than 157 px.
ROOM = 8 * t_block.UNIT
OPTIONS = ("reset_to_state", "benchmark_order")


def reward_of(coverage: float) -> float:
    """min(coverage / 0.95, 1): 1 exactly where an episode counts as solved."""
    limits.number("[-inf, inf]", coverage=coverage)  # refuses NaN
    return min(float(coverage) / SUCCESS_COVERAGE, 1.0)


def finite_vector(values: Any, count: int, what: str) -> np.ndarray:
    """`values` as (count,) float64; ValueError, one line that begins with `what`, unless all are finite numbers."""
    try:
        given = np.asarray(values)
    except (ValueError, TypeError, RuntimeError):  # rows of different lengths, tensors on another device
        given = np.asarray(None)
    if given.dtype.kind in "iuf":
        values = given = given.astype(np.float64)
        if given.shape == (count,) and np.isfinite(given).all():
            return given
    words = f"shape {given.shape}" if given.size > 20 else values.tolist() if hasattr(values, "tolist") else values
    raise ValueError(f"{what}; got {' '.join(str(words).split())[:100]}")


def pointer_target(action: Any, name: str = "an action") -> np.ndarray:
    """Where an action sends the pointer: (2,) pixels, cut off at the edge of the world. `name` is for its errors."""
    return np.clip(finite_vector(action, 2, f"{name} is two finite numbers, x and y in pixels"), 0, t_block.WORLD)


def legacy_state(seed: int) -> np.ndarray:
    """The start state that the paper's own environment draws for a seed (`legacy_test`): (5,) as in `PushT`.

    Published figures were measured on seeds 100000 and up of this rule.
    """
    limits.whole(0, 2**32 - 1, seed=seed)
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


def _box(bounds: list[tuple[float, float]]) -> gym.spaces.Box:
    low, high = np.array(bounds).T
    return gym.spaces.Box(low, high, dtype=np.float64)


def _within(points: np.ndarray, room: float) -> bool:
    """Whether points lie in the world, or no more than `room` pixels outside of it."""
    return bool(((points >= -room) & (points <= t_block.WORLD + room)).all())


class PushT(gym.Env[np.ndarray, np.ndarray]):
    """Gymnasium environment `firstlight/PushT-v0`.

    Action: (2,) target position of the pointer, pixels in [0, 512]; one outside is cut off at the edge.
    Reward: min(coverage / 0.95, 1). Terminates when the coverage exceeds 0.95; truncated after 300 steps when made
    through `gymnasium.make`.

    Observation, by `observation`:
        "state"      (5,) pointer x, y, block x, y, angle in [0, 2 pi)
        "keypoints"  (18,) pointer x, y, then x, y of the block's corners 0 to 7 (drawn in `envs.t_block`)
        "pixels"     (96, 96, 3) uint8 image

    The pointer stays in the world; the block can be pushed through a wall, so its bounds leave `ROOM` on every side.

    `legacy_resets=True` starts a seeded episode where the paper's environment starts it (see `legacy_state`); without
    a seed, one is drawn from `np_random`. The default draws the same distributions as `gym_pusht` from `np_random`.

    `reset(options={"reset_to_state": state})` starts at that state; the observation reads it back exactly. The
    benchmark does not: it sets the position first and the angle second, which turns the block about its centre of
    gravity and moves its origin. Random and legacy resets keep that order, as published figures depend on it; for a
    given state, `options={"reset_to_state": state, "benchmark_order": True}` does the same.

    `info` holds `coverage`, `is_success` and `block_pose` (3,); with `count_contacts=True` also `n_contacts`, the
    contact points per physics step, rounded up, as in the human data. Images are drawn in `colours`.

    Copies (`copy.deepcopy`, `pickle`) go on exactly as the original does: physics libraries do not copy all that a
    contact has left behind, so a copy is made by taking the episode's actions again.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}  # noqa: RUF012  as gymnasium

    def __init__(
        self,
        observation: ObservationKind = "state",
        legacy_resets: bool = False,
        render_mode: str | None = None,
        render_size: int = 512,
        count_contacts: bool = False,
        colours: Colours = PLAIN,
    ):
        world, outside = [(0.0, t_block.WORLD)] * 2, (-ROOM, t_block.WORLD + ROOM)
        spaces: dict[str, gym.spaces.Box] = {
            "state": _box([*world, outside, outside, (0.0, 2 * np.pi)]),
            "keypoints": _box([*world, *[outside] * 16]),
            "pixels": gym.spaces.Box(0, 255, (PIXELS, PIXELS, 3), np.uint8),
        }
        if observation not in spaces:
            raise ValueError(f"observation={observation!r} is unknown; use one of {', '.join(spaces)}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(
                f"render_mode={render_mode!r} is unknown; use 'rgb_array' or None ('human' works in gymnasium.make)"
            )
        limits.whole(1, MAX_IMAGE_SIZE, render_size=render_size)
        self.observation = observation
        self.observation_space = spaces[observation]
        self.action_space = gym.spaces.Box(0, t_block.WORLD, (2,), np.float32)
        self.legacy_resets = legacy_resets
        self.render_mode = render_mode
        self.render_size = render_size
        self.count_contacts = count_contacts
        self.colours = colours
        self.derivative_gain = DERIVATIVE_GAIN  # of the pointer's PD law; `envs.disturbances` changes it
        self._start: dict[str, Any] | None = None  # how this episode began
        self._targets = array("d")  # x, y of every action since
        self._moves: dict[int, np.ndarray] = {}  # where `move_block` put the block, by the number of actions before

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode, at `options["reset_to_state"]` or where `seed` puts it; ValueError for a state outside."""
        if seed is not None:
            limits.whole(0, 2**128, seed=seed)  # any that NumPy takes; the paper's own rule has limits of its own
        super().reset(seed=seed)
        options = options or {}
        if unknown := options.keys() - set(OPTIONS):
            raise ValueError(f"reset knows the options {', '.join(OPTIONS)}; got {', '.join(map(str, unknown))}")
        state = options.get("reset_to_state")
        benchmark_order = state is None or bool(options.get("benchmark_order", False))
        if state is None:
            state = self._draw_state(seed)
        state = finite_vector(state, 5, "reset_to_state takes 5 finite numbers (pointer x, y, block x, y, angle)")
        possible = _within(state[:2], 0) and _within(state[2:4], ROOM)
        if possible:
            self._begin(state, np.zeros(5), benchmark_order)
            possible = _within(t_block.corners(self.block_pose()), ROOM)
        if not possible:
            self._start = None
            raise ValueError(
                f"reset_to_state takes a pointer in the world, from 0 to {t_block.WORLD:.0f}, and a block that lies no "
                f"farther than {ROOM:.0f} outside of it; got {state.tolist()}"
            )
        info = self._info()
        return self._observe(), info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Drive the pointer towards `action` (2,) pixels for 0.1 s; ValueError unless it is two finite numbers."""
        self._check_started()
        contacts = self._drive(*pointer_target(action).tolist())
        info = self._info()
        if self.count_contacts:
            info["n_contacts"] = math.ceil(contacts / PHYSICS_STEPS)
        return self._observe(), reward_of(info["coverage"]), info["is_success"], False, info

    def render(self) -> np.ndarray | None:
        """(render_size, render_size, 3) uint8 image of the world now; None without a render mode."""
        if self.render_mode is None:
            return None
        self._check_started()
        return draw(self._pointer.position, self.block_pose(), self.render_size, colours=self.colours)

    def block_pose(self) -> np.ndarray:
        """(3,) the block's x, y and angle in [0, 2 pi)."""
        self._check_started()
        x, y = self._block.position
        return np.array([x, y, self._block.angle % (2 * np.pi)])

    def pointer_position(self) -> np.ndarray:
        """(2,) the pointer's x and y."""
        self._check_started()
        return np.array(self._pointer.position)

    def move_block(self, pose: Any) -> None:
        """Put the block at a pose (3,), at rest, in the middle of an episode; what `step` gives then shows it there.

        Raises ValueError unless it lies in the world, or no farther than `ROOM` outside of it.
        """
        self._check_started()
        pose = finite_vector(pose, 3, "a pose of the block is three finite numbers: x, y, angle")
        if not _within(t_block.corners(pose), ROOM):
            raise ValueError(f"the block lies no farther than {ROOM:.0f} outside of the world; got {pose.tolist()}")
        self._moves[len(self._targets) // 2] = pose
        self._put_block(pose)
        self._block.velocity, self._block.angular_velocity = (0.0, 0.0), 0.0

    def _check_started(self) -> None:
        if self._start is None:
            raise ResetNeeded("call reset before anything else: no episode has begun")

    def _begin(self, state: np.ndarray, speeds: np.ndarray, benchmark_order: bool = False) -> None:
        """Build a world that begins at a state (5,), moving at `speeds` (5,)."""
        self._start = {"state": state, "speeds": speeds, "benchmark_order": benchmark_order}
        self._targets, self._moves = array("d"), {}
        self._build_world()
        self._pointer.position = tuple(state[:2])
        if benchmark_order:
            self._block.position = tuple(state[2:4])
            self._block.angle = state[4]
            self._space.step(PHYSICS_DT)  # the benchmark lets overlapping bodies part for one physics step
        else:
            self._put_block(state[2:])
            self._space.reindex_shapes_for_body(self._pointer)
        if speeds.any():
            self._pointer.velocity, self._block.velocity = tuple(speeds[:2]), tuple(speeds[2:4])
            self._block.angular_velocity = float(speeds[4])

    def _put_block(self, pose: np.ndarray) -> None:
        self._block.angle = pose[2]  # before the position: it turns the block about its centre of gravity
        self._block.position = tuple(pose[:2])
        self._space.reindex_shapes_for_body(self._block)

    def _drive(self, target_x: float, target_y: float) -> int:
        """One control step towards a target; the contact points of all its physics steps where they are counted."""
        self._targets.extend((target_x, target_y))
        pointer, space, damping = self._pointer, self._space, self.derivative_gain
        contacts: list[int] = []
        x, y = pointer.position
        vx, vy = pointer.velocity
        # The pointer is kinematic: nothing deflects it, so its path is known before the physics runs.
        for _ in range(PHYSICS_STEPS):
            vx += (PROPORTIONAL_GAIN * (target_x - x) - damping * vx) * PHYSICS_DT
            vy += (PROPORTIONAL_GAIN * (target_y - y) - damping * vy) * PHYSICS_DT
            pointer.velocity = vx, vy
            space.step(PHYSICS_DT)
            x += vx * PHYSICS_DT
            y += vy * PHYSICS_DT
            if self.count_contacts:
                self._block.each_arbiter(lambda arbiter: contacts.append(len(arbiter.contact_point_set.points)))
        return sum(contacts)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_space", "_pointer", "_block")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._start is not None:
            targets, moves = self._targets.tolist(), self._moves
            self._begin(*self._start.values())
            for number, (x, y) in enumerate(zip(targets[::2], targets[1::2], strict=True)):
                if number in moves:
                    self.move_block(moves[number])
                self._drive(x, y)
            if len(targets) // 2 in moves:
                self.move_block(moves[len(targets) // 2])

    def _observe(self) -> np.ndarray:
        if self.observation == "state":
            return np.array([*self._pointer.position, *self.block_pose()])
        if self.observation == "keypoints":
            return np.concatenate([self._pointer.position, self._corners.ravel()])
        return draw(self._pointer.position, self.block_pose(), PIXELS, colours=self.colours)

    def _info(self) -> dict[str, Any]:
        """Facts about the block as it lies now; keeps its corners, which observations show too."""
        pose = self.block_pose()
        self._corners = t_block.corners(pose)
        coverage = float(t_block.overlap(self._corners))
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
        near, far = WALL_NEAR, WALL_FAR
        walls = [
            pymunk.Segment(space.static_body, a, b, WALL_RADIUS)
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
        bar, stem = t_block.BAR.tolist(), t_block.STEM.tolist()
        self._block = pymunk.Body(1, 2 * pymunk.moment_for_poly(1, bar))
        shapes = [pymunk.Poly(self._block, bar), pymunk.Poly(self._block, stem)]
        self._block.center_of_gravity = (shapes[0].center_of_gravity + shapes[1].center_of_gravity) / 2
        space.add(self._block, *shapes)
        self._space = space
