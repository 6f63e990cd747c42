"""The search: its distance, what it counts as done, and plans that succeed in the environment."""

from dataclasses import replace

import numpy as np
import pytest

from envs import t_block
from envs.physics import Simulator, set_state
from envs.pusht import PushT
from planning.beam_search import NEVER_DONE, BeamSearch, _Plans, covers, distance_to_target
from planning.planner import steps_to_success

SMALL = BeamSearch(beam=8, samples=24, first_samples=128, refinements=8, depth=5)
NEAR = np.array([100, 100, 0, 0, 285, 275, np.pi / 4 + 0.15, 0, 0, 0.0])


def test_distance_by_hand():
    shifted = t_block.TARGET_POSE + np.array([3, 4, 0])
    assert distance_to_target(shifted) == pytest.approx(5)
    turned = t_block.TARGET_POSE + np.array([0, 0, np.pi])
    # A half turn about the block's origin moves each corner by twice its distance from it.
    squares = [60**2, 60**2, 60**2 + 30**2, 60**2 + 30**2, 15**2 + 30**2, 15**2 + 30**2, 15**2 + 120**2, 15**2 + 120**2]
    assert distance_to_target(turned) == pytest.approx(2 * np.sqrt(np.mean(squares)))


def test_covers_looks_at_polygons_only_where_that_cannot_change_the_answer():
    rng = np.random.default_rng(0)
    poses = t_block.TARGET_POSE + rng.normal(size=(4000, 3)) * [2, 2, 0.02]
    coverage, distance = t_block.coverage(poses), distance_to_target(poses)
    assert distance[coverage > 0.95].max() < NEVER_DONE < distance.max()
    for threshold in (0.95, 0.97):
        np.testing.assert_array_equal(covers(poses, threshold), coverage > threshold)
    assert not covers(np.full((1, 3), np.nan), 0.95)[0]


def test_a_plan_from_an_easy_state_succeeds_in_the_environment():
    plans = SMALL.plans(NEAR, seed=1)
    assert plans
    assert [len(p) for p in plans] == sorted(len(p) for p in plans)
    env, steps = PushT("state"), []
    for actions in plans:
        assert ((actions >= 0) & (actions <= t_block.WORLD)).all()
        np.testing.assert_array_equal(actions.astype(np.float32), actions)  # recordings keep them exactly
        set_state(env, NEAR)
        steps.append(steps_to_success(env, actions))
    assert sum(s is not None for s in steps) >= 0.8 * len(plans)
    np.testing.assert_array_equal(SMALL.plans(NEAR, seed=1)[0], plans[0])


def test_refinement_makes_no_plan_dearer():
    # One push: the same random ones with and without refinement.
    def costs(refinements):
        search = replace(SMALL, refinements=refinements)
        parents = _Plans(np.repeat(NEAR[None], 100, 0), np.zeros(100), np.zeros(100, bool), [np.empty((0, 2))] * 100)
        return search._best(Simulator(), np.random.default_rng(0), parents).costs

    plain, refined = costs(0), costs(8)
    assert (refined <= plain).all()
    assert refined.mean() < plain.mean() - 1


def test_far_from_the_target_the_search_goes_on():
    # D is 212 px: its weight alone is more than the 300 steps of an episode, which says nothing about the plan.
    state = np.array([88, 263, 0, 0, 74, 253.6, -3.6, 0, 0, 0])
    search = replace(SMALL, depth=2, samples=4)
    depths = []
    with pytest.MonkeyPatch.context() as patch:
        best = BeamSearch._best
        patch.setattr(BeamSearch, "_best", lambda *arguments: depths.append(1) or best(*arguments))
        search.plans(state, seed=1)
    assert len(depths) == 2


def test_a_block_on_its_target_needs_no_push():
    state = np.array([50, 60, 0, 0, *t_block.TARGET_POSE, 0, 0, 0])
    (actions,) = BeamSearch().plans(state)
    np.testing.assert_array_equal(actions, [[50, 60]])


def test_a_margin_below_the_environments_own_is_refused():
    with pytest.raises(ValueError, match=r"done_coverage=0\.9 must be at least 0\.95"):
        BeamSearch(done_coverage=0.9)
