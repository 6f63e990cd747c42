"""Networks compiled for a GPU."""

import pytest

from tests.gpu.device import FLAGS, ON_A_GPU, difference
from tests.runs import ROOT, checkpoint, undisturbed

pytestmark = ON_A_GPU


@pytest.mark.parametrize("config", ["mnist_ddpm", "svhn_gan", "sorting_encoder_decoder"])
def test_a_compiled_network_learns_the_same(config, tmp_path, record_property):
    """Checkpoints have the same names, and nearly the same values."""
    given = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", *FLAGS]
    compiled = ["--config", str(ROOT / "configs/with/compile.yaml")]
    ours, theirs = (
        checkpoint(undisturbed(config, tmp_path / name, *given, *more))["state_dict"]
        for name, more in (("compiled", compiled), ("eager", []))
    )
    relative = difference(ours, theirs)
    record_property("weights_apart", f"{relative:.1e}")
    assert relative < 0.05
