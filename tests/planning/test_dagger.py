"""States that a policy came to, and the planner's way on from them."""

import numpy as np

from envs import t_block
from envs.episode import Episode
from envs.pusht import PushT
from planning.dagger import plan_corrections, states_after
from planning.planner import steps_to_success

ASIDE = np.full((40, 2), 30.0, dtype=np.float32)  # the pointer goes into a corner of the world
EPISODE = Episode(1_000_000, ASIDE, np.full(len(ASIDE), 0.1))


def test_states_are_those_of_the_episode():
    states = states_after(EPISODE, (3, 40, 90))
    env = PushT("state", legacy_resets=True)
    env.reset(seed=1_000_000)
    seen = [env.step(action)[0] for action in ASIDE]
    np.testing.assert_array_equal(states, [seen[2], seen[39]])  # the episode has no 90th step


def test_corrections_lead_from_those_states_to_the_target(tmp_path, monkeypatch):
    """A block a little off its target, so that the search is short."""
    near = [100.0, 100.0, 258.0, 258.0, t_block.TARGET_POSE[2] + 0.03]
    monkeypatch.setattr("planning.dagger.states_after", lambda episode, steps: [near for _ in steps])
    corrections = plan_corrections([EPISODE], (10, 20), tmp_path / "plans.jsonl", workers=1)
    assert len(corrections) == 2
    assert corrections[0]["actions"] == corrections[1]["actions"]
    env = PushT("state")
    env.reset(**corrections[0]["reset"])
    np.testing.assert_array_equal(env.block_pose(), near[2:])
    assert steps_to_success(env, corrections[0]["actions"]) == len(corrections[0]["actions"])
