"""Push primitives: walk around the T to a point of its outline, settle there, push.

A push is six numbers, a row of an array (N, 6); N counts pushes, L control steps:

    where    px along the outline, from corner 0 to 1, 2, 5, 6, 7, 4, 3 and back
    angle    radians from the inward normal to the direction in which the push begins
    length   px that the pointer's target moves on
    turn     radians by which that direction turns over the whole length
    speed    px per control step
    settle   control steps to wait before pushing

On its way the pointer's target keeps `CLEARANCE` from the T, twice as far at its corners: it goes straight where that
is possible, else by way of corners of the widened T, a small visibility graph in which every shortest path follows the
convex hull one way or the other.
"""

from typing import NamedTuple

import numpy as np

from envs import t_block
from envs.physics import PARTS, to_block, to_world
from envs.pusht import POINTER_RADIUS
from limits import number

CLEARANCE = 22.0  # px between the target of a walking pointer (radius 15) and the T
BEYOND = CLEARANCE - POINTER_RADIUS - 1  # px that ways may lead out of the world; cut off there, they touch nothing
WALKING_SPEED = 30.0  # px per control step
MAX_ANGLE, ANGLE_SPREAD = 1.1, 0.35
MAX_LENGTH, MIN_LENGTH = 260.0, 4.0
MAX_TURN, TURN_SPREAD = 1.5, 0.4
SPEEDS = (5.0, 12.0)
SETTLE = (0, 4)
WHERE, ANGLE, LENGTH, TURN, SPEED, SETTLING = range(6)
# How far a push is shifted when it is refined.
SPREADS = np.array([12.0, 0.25, 20.0, 0.25, 1.5, 0.7])
GRID = 64  # actions are multiples of 1/64 px: recordings keep them exactly

_CORNERS = t_block.CORNERS[t_block.OUTLINE]  # in their order around the T
_SIDES = np.roll(_CORNERS, -1, 0) - _CORNERS
_SIDE_LENGTHS = np.linalg.norm(_SIDES, axis=1)
_SIDE_ENDS = np.cumsum(_SIDE_LENGTHS)
PERIMETER = _SIDE_ENDS[-1]
_DIRECTIONS = _SIDES / _SIDE_LENGTHS[:, None]
_OUTWARD = np.stack([_DIRECTIONS[:, 1], -_DIRECTIONS[:, 0]], -1)

# The widened T's corners on its convex hull, in their order, and every way to follow them: (first ... last) either way.
_HULL = np.array([(-60, 0), (60, 0), (60, 30), (15, 120), (-15, 120), (-60, 30)]) + CLEARANCE * np.array(
    [(-1, -1), (1, -1), (1, 1), (1, 1), (-1, 1), (-1, 1)]
)
_WAYS = [
    [(first + way * k) % len(_HULL) for k in range(count)]
    for first in range(len(_HULL))
    for count in range(1, len(_HULL) + 1)
    for way in ((1, -1) if count > 1 else (1,))
]
_FIRST, _LAST = (np.array([way[i] for way in _WAYS]) for i in (0, -1))
_WAY_LENGTHS = np.array([np.linalg.norm(np.diff(_HULL[way], axis=0), axis=1).sum() for way in _WAYS])
_PASSES = np.array([[corner in way for corner in range(len(_HULL))] for way in _WAYS])  # (ways, 6)


class Paths(NamedTuple):
    """What pushes ask of the pointer."""

    actions: np.ndarray  # (N, L, 2) targets of the pointer, px; the last one repeated
    lengths: np.ndarray  # (N,) how many of them count
    walks: np.ndarray  # (N,) how many of those are steps before the push itself
    possible: np.ndarray  # (N,) False where the pointer cannot get there


def outline_points(where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of the outline and outward normals, in the block's frame: (N,) px -> (N, 2), (N, 2)."""
    where = where % PERIMETER
    side = np.minimum(np.searchsorted(_SIDE_ENDS, where, "right"), len(_SIDES) - 1)
    along = where - (_SIDE_ENDS - _SIDE_LENGTHS)[side]
    return _CORNERS[side] + along[:, None] * _DIRECTIONS[side], _OUTWARD[side]


def _inside(points: np.ndarray, margin: float = 0.01) -> np.ndarray:
    """Whether points (..., 2) in the block's frame lie in the widened T: (...)."""
    bar, stem = ((np.abs(points - centre) < half + CLEARANCE - margin).all(-1) for centre, half in PARTS)
    return np.logical_or(bar, stem)


_GRID = np.arange(0.5, PERIMETER)
_points, _normals = outline_points(_GRID)
REACHABLE = _GRID[~_inside(_points + CLEARANCE * _normals)]  # not in the corners between bar and stem


def blocked(start: np.ndarray, end: np.ndarray, margin: float = 0.01) -> np.ndarray:
    """Whether segments cross the widened T: (..., 2), (..., 2) in the block's frame -> (...)."""
    step = end - start
    step = np.where(np.abs(step) < 1e-9, 1e-9, step)
    crossed = []
    for centre, half in PARTS:
        half = half + CLEARANCE - margin
        a, b = (centre - half - start) / step, (centre + half - start) / step
        enter, leave = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
        crossed.append((enter < leave) & (leave > 0) & (enter < 1))
    return np.logical_or(*crossed)


def way_out(points: np.ndarray) -> np.ndarray:
    """The nearest point outside of the widened T, for points (N, 2) in the block's frame; one outside stays."""
    points = points.copy()
    for centre, half in PARTS:  # out of the bar may be into the stem, but never the other way
        offset, half = points - centre, half + CLEARANCE
        depth = half - np.abs(offset)
        axis = depth.argmin(-1)
        rows = np.flatnonzero((depth > 0).all(-1))
        side = np.where(offset[rows, axis[rows]] < 0, -1.0, 1.0)
        points[rows, axis[rows]] = centre[axis[rows]] + side * half[axis[rows]]
    return points


def walks(starts: np.ndarray, ends: np.ndarray, allowed: np.ndarray) -> list[np.ndarray | None]:
    """The shortest ways around the T, in its frame: starts and ends (N, 2), `allowed` (N, 6) corners of the widened T.

    Returns the points of each way, (P, 2) with P >= 2, or None where there is none.
    """
    outside = way_out(starts)
    corners = np.broadcast_to(_HULL, (len(starts), *_HULL.shape))
    to_corner = np.linalg.norm(outside[:, None] - corners, axis=-1)  # (N, 6)
    to_corner[blocked(outside[:, None], corners) | ~allowed] = np.inf
    from_corner = np.linalg.norm(ends[:, None] - corners, axis=-1)
    from_corner[blocked(ends[:, None], corners) | ~allowed] = np.inf
    lengths = to_corner[:, _FIRST] + _WAY_LENGTHS + from_corner[:, _LAST]  # (N, ways)
    lengths[(~allowed[:, None] & _PASSES).any(-1)] = np.inf
    best = lengths.argmin(1)
    straight = ~blocked(outside, ends)
    lost = ~straight & ~np.isfinite(lengths[np.arange(len(starts)), best])
    found: list[np.ndarray | None] = []
    for i in range(len(starts)):
        between = np.empty((0, 2)) if straight[i] else _HULL[_WAYS[best[i]]]
        found.append(
            None if lost[i] else np.concatenate([starts[i : i + 1], outside[i : i + 1], between, ends[i : i + 1]])
        )
    return found


def _resampled(points: np.ndarray, spacing: float) -> np.ndarray:
    """Points every `spacing` px along a polyline (P, 2), without its first point and with its last."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    count = max(1, int(np.ceil(lengths[-1] / spacing)))
    at = np.linspace(0, lengths[-1], count + 1)[1:]
    return np.stack([np.interp(at, lengths, points[:, 0]), np.interp(at, lengths, points[:, 1])], -1)


def _in_reach(points: np.ndarray) -> np.ndarray:
    """Whether targets at points (..., 2) of the world can be given, if need be by cutting off a little: (...)."""
    return np.all((points >= -BEYOND) & (points <= t_block.WORLD + BEYOND), axis=-1)


def paths(states: np.ndarray, pushes: np.ndarray, walking_speed: float = WALKING_SPEED) -> Paths:
    """The pointer's targets for pushes (N, 6) from states (N, 10)."""
    number("(0, inf)", walking_speed=walking_speed)
    poses = states[:, 4:7]
    touched, normal = outline_points(pushes[:, WHERE])
    begin = touched + CLEARANCE * normal
    hull = to_world(np.broadcast_to(_HULL, (len(poses), *_HULL.shape)), poses)
    begin_world = to_world(begin, poses)
    possible = ~_inside(begin) & _in_reach(begin_world)
    ways = walks(to_block(states[:, :2], poses), begin, _in_reach(hull))

    heading = np.arctan2(-normal[:, 1], -normal[:, 0]) + poses[:, 2] + pushes[:, ANGLE]
    counts = np.maximum(1, np.ceil(pushes[:, LENGTH] / pushes[:, SPEED])).astype(int)
    settle = np.rint(pushes[:, SETTLING]).astype(int)
    steps = np.arange(counts.max())
    angles = heading[:, None] + pushes[:, TURN, None] * (steps + 0.5) / counts[:, None]
    moves = pushes[:, SPEED, None, None] * np.stack([np.cos(angles), np.sin(angles)], -1)
    shoves = begin_world[:, None] + np.cumsum(moves, 1)  # (N, longest, 2)

    targets, walk_lengths = [], np.zeros(len(poses), dtype=int)
    for i, way in enumerate(ways):
        if way is None or not possible[i]:
            possible[i] = False
            targets.append(states[i : i + 1, :2])
            continue
        walk = to_world(_resampled(way, walking_speed)[None], poses[i : i + 1])[0]
        waiting = np.broadcast_to(walk[-1], (settle[i], 2))
        targets.append(np.concatenate([walk, waiting, shoves[i, : counts[i]]]))
        walk_lengths[i] = len(walk) + settle[i]
    lengths = np.array([len(target) for target in targets])
    actions = np.stack(
        [np.concatenate([target, np.repeat(target[-1:], lengths.max() - len(target), 0)]) for target in targets]
    )
    actions = np.clip(np.round(actions * GRID) / GRID, 0, t_block.WORLD)
    return Paths(actions, lengths, walk_lengths, possible)


def sample(rng: np.random.Generator, distances: np.ndarray) -> np.ndarray:
    """A random push (N, 6) for each block `distances` (N,) px from the target: longer ones where it is far."""
    n = len(distances)
    longest = np.minimum(MAX_LENGTH, 40 + 2 * distances)
    return _within_limits(
        np.stack(
            [
                rng.choice(REACHABLE, n) + rng.uniform(-0.5, 0.5, n),
                rng.normal(0, ANGLE_SPREAD, n),
                rng.uniform(10, longest),
                rng.normal(0, TURN_SPREAD, n),
                rng.uniform(*SPEEDS, n),
                rng.uniform(*SETTLE, n),
            ],
            -1,
        )
    )


def perturbed(rng: np.random.Generator, pushes: np.ndarray, scale: float) -> np.ndarray:
    """Pushes (N, 6) shifted at random, by `scale` times the usual spread."""
    number("[0, inf)", scale=scale)
    return _within_limits(pushes + scale * SPREADS * rng.normal(size=pushes.shape))


def _within_limits(pushes: np.ndarray) -> np.ndarray:
    low = [-np.inf, -MAX_ANGLE, MIN_LENGTH, -MAX_TURN, SPEEDS[0], SETTLE[0]]
    high = [np.inf, MAX_ANGLE, MAX_LENGTH, MAX_TURN, SPEEDS[1], SETTLE[1]]
    return np.clip(pushes, low, high)
