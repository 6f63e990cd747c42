"""What long runs use stays as it is."""

import pytest

from benchmarks.reliability.memory import usage


@pytest.mark.slow
@pytest.mark.parametrize("config", ["mnist_mlp", "sorting_encoder", "svhn_gan"])
def test_memory_and_open_files_stay_as_they_are(config, tmp_path):
    """From 600 to 1,200 batches; a batch kept alive in each step would be 50 MB and more."""
    batches, memory, files, *_ = usage(config, 1200, tmp_path).T
    assert memory[batches == 1200] - memory[batches == 600] < 20
    assert files[batches == 1200] == files[batches == 600]
