"""Pushes: where the pointer walks, and what it is asked to do."""

import numpy as np
import pytest
import shapely

from envs import t_block
from envs.physics import distance_to_block
from planning import pushes
from planning.pushes import CLEARANCE, PERIMETER, blocked, outline_points, paths, perturbed, sample, walks, way_out

T = shapely.Polygon(t_block.CORNERS[t_block.OUTLINE])


def state(pointer, pose):
    return np.array([*pointer, 0, 0, *pose, 0, 0, 0], dtype=float)


def test_the_outline():
    where = np.linspace(0, PERIMETER, 200, endpoint=False)
    points, normals = outline_points(where)
    assert pytest.approx(T.length) == PERIMETER
    expected = shapely.line_interpolate_point(shapely.LinearRing(t_block.CORNERS[t_block.OUTLINE]), where)
    np.testing.assert_allclose(points, shapely.get_coordinates(expected), atol=1e-9)
    np.testing.assert_allclose(shapely.distance(T, shapely.points(points + 0.1 * normals)), 0.1, atol=1e-9)
    np.testing.assert_allclose(outline_points(where + PERIMETER)[0], points, atol=1e-9)


def test_walks_never_come_near_the_t_and_are_short():
    rng = np.random.default_rng(0)
    starts = rng.uniform([-200, -150], [200, 250], (2000, 2))
    starts = starts[distance_to_block(starts) > 15]
    points, normals = outline_points(rng.choice(pushes.REACHABLE, len(starts)))
    found = walks(starts, points + CLEARANCE * normals, np.ones((len(starts), 6), dtype=bool))
    wide = T.buffer(CLEARANCE, join_style="mitre")
    round_trip = wide.convex_hull.length
    turns = set()
    for start, end, way in zip(starts, points + CLEARANCE * normals, found, strict=True):
        np.testing.assert_array_equal(way[0], start)
        np.testing.assert_allclose(way[-1], end)
        assert shapely.LineString(way[1:]).distance(T) > CLEARANCE - 1e-6
        # The way out of the widened T leads away from the block: never nearer to it than the pointer is now.
        assert shapely.LineString(way[:2]).distance(T) > min(T.distance(shapely.Point(start)), CLEARANCE) - 1e-6
        assert shapely.LineString(way).length < np.linalg.norm(end - start) + 2 * CLEARANCE + round_trip / 2 + 60
        turns.add(len(way))
    assert {3, 4, 5, 6} <= turns, "too few walks led round corners"


def test_the_shortest_way_is_no_longer_than_a_dense_search_finds():
    # From one side of the stem to the other, round its end.
    (way,) = walks(np.array([[60.0, 90.0]]), np.array([[-37.0, 90.0]]), np.ones((1, 6), dtype=bool))
    corner = 15 + CLEARANCE, 120 + CLEARANCE
    expected = np.hypot(60 - corner[0], 90 - corner[1]) + 2 * corner[0] + (corner[1] - 90)
    assert shapely.LineString(way).length == pytest.approx(expected)
    # With the stem's end outside of the world, round the bar.
    allowed = np.array([[True, True, True, False, False, True]])
    (way,) = walks(np.array([[60.0, 90.0]]), np.array([[-37.0, 90.0]]), allowed)
    assert shapely.LineString(way).length > expected + 100
    assert (way[:, 1] < 100).all()
    (way,) = walks(np.array([[60.0, 90.0]]), np.array([[-37.0, 90.0]]), np.zeros((1, 6), dtype=bool))
    assert way is None


def test_blocked_agrees_with_shapely():
    rng = np.random.default_rng(1)
    starts, ends = rng.uniform(-200, 250, (2, 1000, 2))
    widened = T.buffer(CLEARANCE - 0.01, join_style="mitre")
    lines = shapely.linestrings(np.stack([starts, ends], 1))
    np.testing.assert_array_equal(blocked(starts, ends), shapely.intersects(widened, lines))


def test_way_out_of_the_widened_t():
    rng = np.random.default_rng(2)
    points = rng.uniform([-90, -30], [90, 150], (1000, 2))
    out = way_out(points)
    widened = T.buffer(CLEARANCE, join_style="mitre")
    assert not shapely.contains(widened.buffer(-1e-6), shapely.points(out)).any()
    outside = ~shapely.contains(widened, shapely.points(points))
    np.testing.assert_array_equal(out[outside], points[outside])


def test_a_path_walks_settles_and_pushes():
    # 60 px from corner 0: the middle of the bar's outer edge, pushed along +y.
    push = np.array([[60.0, 0.0, 40.0, 0.0, 10.0, 2.0]])
    path = paths(state([50, 50], [256, 256, 0])[None], push, walking_speed=20)
    walk, waiting = path.actions[0, : path.walks[0] - 2], path.actions[0, path.walks[0] - 2 : path.walks[0]]
    assert (np.linalg.norm(np.diff(walk, axis=0), axis=1) <= 20.1).all()
    np.testing.assert_array_equal(waiting, [[256, 256 - CLEARANCE]] * 2)
    shove = path.actions[0, path.walks[0] : path.lengths[0]]
    np.testing.assert_allclose(shove, [[256, 256 - CLEARANCE + 10 * k] for k in range(1, 5)])
    assert path.possible[0]
    push[0, pushes.TURN] = 1.0
    turned = paths(state([50, 50], [256, 256, 0])[None], push).actions[0]
    last = turned[-1] - turned[-2]
    assert np.arctan2(*last[::-1]) == pytest.approx(np.pi / 2 + 7 / 8, abs=0.01)


def test_what_the_pointer_cannot_reach_is_impossible():
    # The bar's edge looks at the wall, 10 px away: no room for the pointer.
    path = paths(state([400, 400], [256, 10, 0])[None], np.array([[60.0, 0, 40, 0, 10, 2]]))
    assert not path.possible[0]
    assert (path.lengths[0], path.walks[0]) == (1, 0)


def test_a_pointer_between_block_and_wall_gets_out_without_touching():
    # The bar lies along the wall, the pointer at its end; the widened T reaches 6 px out of the world.
    start = state([512, 312], [495.9, 379, np.pi / 2])
    path = paths(start[None], np.array([[pushes.PERIMETER - 60.0 - 45, 0, 40, 0, 10, 2]]))
    assert path.possible[0]
    walk = shapely.LineString(np.concatenate([start[None, :2], path.actions[0, : path.walks[0]]]))
    assert walk.distance(shapely.Polygon(t_block.corners(start[4:7])[t_block.OUTLINE])) > 15


def test_random_pushes_stay_within_limits_and_differ():
    rng = np.random.default_rng(0)
    drawn = sample(rng, np.linspace(0, 200, 500))
    shifted = perturbed(rng, drawn, 1.0)
    for rows in (drawn, shifted):
        assert (np.abs(rows[:, pushes.ANGLE]) <= pushes.MAX_ANGLE).all()
        assert (rows[:, pushes.LENGTH] <= pushes.MAX_LENGTH).all()
        assert (rows[:, pushes.LENGTH] >= pushes.MIN_LENGTH).all()
        assert ((rows[:, pushes.SPEED] >= 5) & (rows[:, pushes.SPEED] <= 12)).all()
    assert len(np.unique(drawn[:, pushes.WHERE])) == 500
    assert drawn[-100:, pushes.LENGTH].mean() > 2 * drawn[:100, pushes.LENGTH].mean()
    np.testing.assert_array_equal(perturbed(rng, drawn, 0.0), drawn)
