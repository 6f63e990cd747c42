import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from envs import t_block

poses = st.tuples(st.floats(0, 512), st.floats(0, 512), st.floats(-10, 10)).map(np.array)


@given(poses)
def test_pose_of_inverts_corners(pose):
    recovered = t_block.pose_of(t_block.corners(pose))
    np.testing.assert_allclose(recovered[:2], pose[:2], atol=1e-9)
    np.testing.assert_allclose(np.exp(1j * recovered[2]), np.exp(1j * pose[2]), atol=1e-9)


@given(poses)
def test_corners_are_the_rotated_and_shifted_ones(pose):
    turn = np.exp(1j * pose[2])
    expected = t_block.CORNERS @ [1, 1j] * turn + complex(*pose[:2])
    np.testing.assert_allclose(t_block.corners(pose) @ [1, 1j], expected, atol=1e-9)


def test_coverage_of_known_poses():
    target = t_block.TARGET_POSE
    assert t_block.coverage(target) == pytest.approx(1)
    assert t_block.coverage(target + np.array([400, 0, 0])) == 0
    # Shifted along the stem by d pixels, in the block's frame: the bar keeps 120 x (30 - d) of 120 x 30 and, below it,
    # the stem keeps 30 x 90 of its own; the part of the bar that left the target's bar covers 30 x d of its stem's top.
    d = 10.0
    along_stem = np.array([-np.sin(target[2]), np.cos(target[2]), 0])
    assert t_block.coverage(target + d * along_stem) == pytest.approx((120 * (30 - d) + 30 * 90) / (7 * 30**2))


@given(poses)
def test_coverage_is_the_area_that_shapely_finds_part_by_part(pose):
    def parts(p):
        points = t_block.corners(p)
        return [shapely.Polygon(points[:4]), shapely.Polygon(points[4:])]

    area = sum(a.intersection(b).area for a in parts(pose) for b in parts(t_block.TARGET_POSE))
    assert t_block.coverage(pose) == pytest.approx(area / 6300, abs=1e-9)


def test_coverage_takes_many_poses_at_once():
    many = np.random.default_rng(0).uniform(200, 300, (20, 3))
    np.testing.assert_allclose(t_block.coverage(many), [t_block.coverage(pose) for pose in many])


def test_the_mirror_image_of_the_target_is_the_target():
    reflected = (t_block.WORLD - t_block.corners(t_block.TARGET_POSE))[:, ::-1]
    np.testing.assert_allclose(reflected[t_block.MIRRORED_CORNERS], t_block.corners(t_block.TARGET_POSE), atol=1e-9)
