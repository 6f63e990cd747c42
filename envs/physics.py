"""Thousands of short Push-T rollouts, in one space (`envs.compiled_space`).

States are those of `PushT.step`, equal to the bit. Observations and rewards are left out, and so is physics while
nothing can move: while the block rests and the pointer is too far away to touch it.

N counts rollouts, L control steps of 0.1 s, S the physics steps in one of them. A state (10,) is what a rollout starts
from:

    0 1  pointer x, y      2 3  its velocity                  pixels, pixels/s
    4 5  block x, y        6    its angle                     pixels, radians (not wrapped)
    7 8  its velocity      9    its angular velocity          pixels/s, radians/s

A state lacks the impulses that the solver remembers between bodies in contact: a rollout that begins in the middle of a
push differs a little from the environment's. Replay in the environment to be certain.
"""

import numpy as np
from pymunk._chipmunk import lib

from envs import t_block
from envs.compiled_space import CompiledSpace, vectors
from envs.pusht import (
    DERIVATIVE_GAIN,
    PHYSICS_DT,
    PHYSICS_STEPS,
    POINTER_RADIUS,
    PROPORTIONAL_GAIN,
    PushT,
    finite_vector,
)

STATE_SIZE = 10
SLACK = 3.0  # px the block may have moved since it was found how far the pointer passes it
REACH = 150.0  # px, more than any point of the block is from its origin
# Centre and half sides of the block's two parts, in its frame.
PARTS = [((part.min(0) + part.max(0)) / 2, (part.max(0) - part.min(0)) / 2) for part in (t_block.BAR, t_block.STEM)]


def get_state(env: PushT) -> np.ndarray:
    """(10,) the state in which an environment is now."""
    pointer, block = env._pointer, env._block
    return np.array(
        [*pointer.position, *pointer.velocity, *block.position, block.angle, *block.velocity, block.angular_velocity]
    )


def set_state(env: PushT, state: np.ndarray) -> None:
    """Reset an environment to a state (10,), with its velocities, which `reset_to_state` leaves at zero."""
    state = finite_vector(state, STATE_SIZE, "a state has 10 finite numbers")
    pose, speeds = state[[0, 1, 4, 5, 6]], state[[2, 3, 7, 8, 9]]
    env.reset(options={"reset_to_state": pose})
    env._begin(pose, speeds)


def to_block(points: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """World points (N, ..., 2) in the frame of blocks at `poses` (N, 3)."""
    shape = (len(poses),) + (1,) * (points.ndim - 2)
    x, y, angle = (poses[:, i].reshape(shape) for i in range(3))
    cos, sin = np.cos(angle), np.sin(angle)
    dx, dy = points[..., 0] - x, points[..., 1] - y
    return np.stack([cos * dx + sin * dy, cos * dy - sin * dx], -1)


def to_world(points: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Points (N, ..., 2) in the frame of blocks at `poses` (N, 3), in the world."""
    shape = (len(poses),) + (1,) * (points.ndim - 2)
    x, y, angle = (poses[:, i].reshape(shape) for i in range(3))
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack(
        [x + cos * points[..., 0] - sin * points[..., 1], y + sin * points[..., 0] + cos * points[..., 1]], -1
    )


def distance_to_block(points: np.ndarray) -> np.ndarray:
    """How far points (..., 2) in the block's frame are from it, 0 inside: (...) pixels."""
    squares = []
    for centre, half in PARTS:
        beyond = np.maximum(np.abs(points - centre) - half, 0)
        squares.append(beyond[..., 0] ** 2 + beyond[..., 1] ** 2)
    return np.sqrt(np.minimum(*squares))


def pointer_paths(pointers: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where actions lead the pointer: (N, 4) position and velocity, (N, L, 2) -> positions, velocities (N, L, S, 2).

    The pointer is kinematic, nothing deflects it: its path needs no physics.
    """
    n, length, _ = actions.shape
    actions = np.clip(actions, 0, t_block.WORLD)  # as the environment does
    steps = np.empty((2, length, PHYSICS_STEPS, n, 2))
    position, velocity = pointers[:, :2].copy(), pointers[:, 2:4].copy()
    for i in range(length):
        target = np.ascontiguousarray(actions[:, i])
        for j in range(PHYSICS_STEPS):
            velocity += (PROPORTIONAL_GAIN * (target - position) - DERIVATIVE_GAIN * velocity) * PHYSICS_DT
            position += velocity * PHYSICS_DT
            steps[0, i, j], steps[1, i, j] = position, velocity
    positions, velocities = np.ascontiguousarray(steps.transpose(0, 3, 1, 2, 4))
    return positions, velocities


class Simulator:
    """One Push-T space, used again for every rollout."""

    def __init__(self) -> None:
        env = PushT("state")
        env.reset(options={"reset_to_state": [0, 0, *t_block.TARGET_POSE]})
        self._world = CompiledSpace(env)
        moving = [shape for shape in env._space.shapes if shape.body is not env._space.static_body]
        self._shapes = [shape._shape for shape in moving]  # in the order in which the environment added them
        self._still = len(env._space.shapes) - len(moving)

    def rollouts(self, states: np.ndarray, actions: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """States after each step: (N, 10), (N, L, 2) targets of the pointer -> (N, L, 10).

        Of rollout n only the first `lengths[n]` steps are done; the rest is NaN.
        """
        n, length = actions.shape[:2]
        lengths = np.full(n, length) if lengths is None else lengths
        positions, velocities = pointer_paths(states[:, :4], actions)
        distances = distance_to_block(to_block(positions, states[:, 4:7]))  # (N, L, S)
        near: list[list[bool]] = np.any(distances < POINTER_RADIUS + SLACK, axis=-1).tolist()  # (N, L)
        before = np.concatenate([states[:, None, :2], positions[:, :-1, -1]], 1)  # (N, L, 2) pointer before each step
        after = np.full((n, length, STATE_SIZE), np.nan)
        done = np.arange(length) < lengths[:, None]
        after[..., :2][done], after[..., 2:4][done] = positions[:, :, -1][done], velocities[:, :, -1][done]
        blocks: list[tuple[float, ...]] = []
        for i in range(n):
            blocks += self._block_rollout(states[i].tolist(), before[i], velocities[i], near[i], int(lengths[i]))
        after[..., 4:][done] = np.array(blocks).reshape(-1, 6)
        return after

    def _restore(self, state: list[float]) -> None:
        """Put both bodies into a state, as if the space were new.

        The order in which the solver goes through contacts depends on the shapes' numbers and on how they met, so they
        are taken out and added as `PushT.reset` does.
        """
        space, pointer, block = self._world.space, self._world.pointer, self._world.block
        for shape in self._shapes:
            lib.cpSpaceRemoveShape(space, shape)  # and with it what the solver remembers of its contacts
        for body in (pointer, block):
            lib.cpBodyUpdatePosition(body, 0.0)  # forgets how far the solver wants to push bodies apart
            lib.cpBodySetVelocity(body, (0.0, 0.0))
            lib.cpBodySetAngle(body, 0.0)
            lib.cpBodySetPosition(body, (0.0, 0.0))
        lib.cpSpaceSetShapeIDCounter(space, self._still)
        for shape in self._shapes:
            lib.cpSpaceAddShape(space, shape)
        lib.cpBodySetPosition(pointer, state[0:2])
        lib.cpBodySetAngle(block, state[6])  # before the position: the angle turns it about the centre of gravity
        lib.cpBodySetPosition(block, state[4:6])
        lib.cpSpaceReindexShapesForBody(space, block)
        lib.cpSpaceReindexShapesForBody(space, pointer)
        lib.cpBodySetVelocity(block, state[7:9])
        lib.cpBodySetAngularVelocity(block, state[9])

    def _block_rollout(
        self, state: list[float], before: np.ndarray, velocities: np.ndarray, near: list[bool], length: int
    ) -> list[tuple[float, ...]]:
        """The block's (x, y, angle, velocity x, y, angular velocity) after each of the first `length` steps."""
        self._restore(state)
        world, block, driven = self._world, self._world.block, vectors(velocities)
        x0, y0, angle0 = state[4:7]
        pose: tuple[float, ...] = (x0, y0, angle0)
        resting = skipped = False
        rows: list[tuple[float, ...]] = []
        for i in range(length):
            if resting and not near[i]:
                skipped = True
                rows.append((*pose, 0.0, 0.0, 0.0))
                continue
            if skipped:
                lib.cpBodySetPosition(world.pointer, before[i].tolist())
                skipped = False
            world.drive(driven, i * PHYSICS_STEPS)
            velocity, following = lib.cpBodyGetVelocity(block), world.pose()
            # A whole step away from the pointer and without a motion: no velocity is left and no contact remembered.
            resting = following == pose and not near[i] and _largest_motion(following, x0, y0, angle0) < SLACK
            pose = following
            rows.append((*pose, velocity.x, velocity.y, lib.cpBodyGetAngularVelocity(block)))
        return rows


def _largest_motion(pose: tuple[float, ...], x: float, y: float, angle: float) -> float:
    """Pixels that no point of the block has moved farther than since it lay at x, y, angle."""
    return abs(pose[0] - x) + abs(pose[1] - y) + REACH * abs(pose[2] - angle)
