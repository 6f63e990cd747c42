"""The T-shaped block: its outline, its overlap with the target, its mirror image.

Lengths are pixels of the 512 x 512 world (y down), angles radians. The block's frame has its origin in the middle of
the bar's outer edge and the stem along +y:

    0───────────1        bar   120 x 30
    │           │
    3───4───5───2
        │   │
        │   │            stem  30 x 90
        │   │
        7───6

A pose is (x, y, angle): the block's origin in the world and its rotation. N counts poses.
"""

import numpy as np
import shapely

UNIT = 30.0
BAR = np.array([(-2, 0), (2, 0), (2, 1), (-2, 1)]) * UNIT  # corners 0 to 3
STEM = np.array([(-0.5, 1), (0.5, 1), (0.5, 4), (-0.5, 4)]) * UNIT  # corners 4 to 7
CORNERS = np.concatenate([BAR, STEM])  # (8, 2)
OUTLINE = np.array([0, 1, 2, 5, 6, 7, 4, 3])  # the corners in their order around the T
AREA = 7 * UNIT**2
CENTRE_OF_GRAVITY = (BAR.mean(0) + STEM.mean(0)) / 2  # as the benchmark has it: between the two parts

WORLD = 512.0
TARGET_POSE = np.array([WORLD / 2, WORLD / 2, np.pi / 4])

# The target is its own mirror image about the world's diagonal x + y = 512, and so is the world. Under that reflection
# the T's left corners become its right ones.
MIRRORED_CORNERS = np.array([1, 0, 3, 2, 5, 4, 7, 6])


def corners(pose: np.ndarray) -> np.ndarray:
    """World coordinates of the eight corners: poses (..., 3) -> (..., 8, 2) pixels."""
    pose = np.asarray(pose, dtype=np.float64)
    x, y, angle = pose[..., 0:1], pose[..., 1:2], pose[..., 2:3]
    cos, sin = np.cos(angle), np.sin(angle)
    points = np.empty((*pose.shape[:-1], 8, 2))
    points[..., 0] = x + cos * CORNERS[:, 0] - sin * CORNERS[:, 1]
    points[..., 1] = y + sin * CORNERS[:, 0] + cos * CORNERS[:, 1]
    return points


def pose_of(points: np.ndarray) -> np.ndarray:
    """The inverse of `corners`: (..., 8, 2) pixels -> poses (..., 3) with the angle in [0, 2 pi)."""
    points = np.asarray(points, dtype=np.float64)
    origin = points[..., :2, :].mean(-2)
    along = points[..., 1, :] - points[..., 0, :]
    angle = np.arctan2(along[..., 1], along[..., 0]) % (2 * np.pi)
    return np.concatenate([origin, angle[..., None]], -1)


def _polygons(points: np.ndarray) -> np.ndarray:
    return shapely.polygons(points[..., OUTLINE, :])


_TARGET = _polygons(corners(TARGET_POSE))


def overlap(points: np.ndarray) -> np.ndarray:
    """Share of the target that a block with these corners covers, 0 to 1: (..., 8, 2) pixels -> (...)."""
    return shapely.area(shapely.intersection(_polygons(points), _TARGET)) / AREA


def coverage(pose: np.ndarray) -> np.ndarray:
    """Share of the target that the block covers, 0 to 1: poses (..., 3) -> (...)."""
    return overlap(corners(pose))
