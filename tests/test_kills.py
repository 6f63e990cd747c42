"""kill -9 at random moments and in writes, as docs/reliability.md counts it."""

import pytest

from benchmarks.reliability.kills import kills


@pytest.mark.slow
def test_whatever_a_kill_leaves_is_the_undisturbed_run_so_far():
    found = kills("firstlight", 6, seed=1, temporary=None)
    assert found.kills == 6
    assert found.whole == found.equal == 6 - found.before_the_first
    assert found.while_writing >= 1
    assert found.runs == found.equal_runs >= 1
