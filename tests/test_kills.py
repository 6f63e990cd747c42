"""kill -9 at random moments and in writes, as docs/reliability.md counts it, and what long runs use."""

import pytest

from benchmarks.reliability import kills, usage


@pytest.mark.slow
def test_whatever_a_kill_leaves_is_the_undisturbed_run_so_far():
    found = kills("firstlight", 6, seed=1, temporary=None)
    assert found.kills == found.whole == found.equal == 6
    assert found.while_writing >= 1
    assert found.runs == found.equal_runs >= 1


@pytest.mark.slow
@pytest.mark.parametrize("config", ["mnist_mlp", "sorting_encoder", "svhn_gan"])
def test_memory_and_open_files_stay_as_they_are(config, tmp_path):
    """From 600 to 1,200 batches; a batch kept alive in each step would be 50 MB and more."""
    batches, memory, files, *_ = usage(config, 1200, tmp_path).T
    assert memory[batches == 1200] - memory[batches == 600] < 20
    assert files[batches == 1200] == files[batches == 600]
