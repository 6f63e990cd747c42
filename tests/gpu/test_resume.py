"""A run on a GPU that is stopped and resumed is the one that nothing stopped; its checkpoint serves a CPU."""

import contextlib

import pytest

import train
from tests.gpu.device import FLAGS, ON_A_GPU, difference
from tests.runs import checkpoint, differences, parted_run, scalars, stop_at, undisturbed, words_of

pytestmark = ON_A_GPU
SIX = ("mnist_mlp", "cifar10_fast", "sorting_encoder_decoder", "svhn_gan", "mnist_ddpm", "pusht")
STOP = 6  # of eight batches, within the second epoch
CLOSE = 1e-3  # weights of a resumed run, where a kernel does not repeat to the bit


@pytest.mark.parametrize("config", SIX)
def test_a_resumed_run_is_the_undisturbed_one(config, tmp_path, record_property):
    """To the bit, where all kernels of the family repeat; where torch has none that do, weights to 1e-3."""
    words = [*FLAGS, "--trainer.deterministic", "warn"]
    whole = undisturbed(config, tmp_path / "whole", *words)
    code, before, parted = parted_run(config, tmp_path / "parted", words, stop_at(STOP))
    ours, theirs = checkpoint(parted), checkpoint(whole)
    assert code == 143
    assert before < ours["global_step"] == theirs["global_step"]
    apart = differences(ours, theirs, "last")
    record_property("equal_to_the_bit", f"{not apart}: {apart[:3]}")
    assert ours["callbacks"]["RandomState"].keys() == theirs["callbacks"]["RandomState"].keys()
    assert not differences(ours["callbacks"]["RandomState"], theirs["callbacks"]["RandomState"], "draws")
    floating = [
        {name: value for name, value in one["state_dict"].items() if value.is_floating_point()}
        for one in (ours, theirs)
    ]
    assert difference(*floating) < CLOSE
    assert scalars(parted).keys() == scalars(whole).keys()


@pytest.mark.parametrize("config", ["mnist_mlp", "mnist_ddpm"])
def test_trained_on_a_gpu_and_tested_on_a_cpu(config, tmp_path):
    folder = undisturbed(config, tmp_path / "whole", *FLAGS)
    test = [
        "test",
        *words_of(config)[1:],
        "--trainer.limit_test_batches",
        "20",
        "--ckpt_path",
        str(folder / "checkpoints/last.ckpt"),
    ]
    with contextlib.chdir(tmp_path):
        on_gpu, on_cpu = (
            train.main([*test, *words]).trainer.callback_metrics
            for words in (FLAGS, ["--trainer.accelerator", "cpu", "--trainer.devices", "1"])
        )
    assert on_gpu.keys() == on_cpu.keys()
    for name, value in on_cpu.items():
        assert on_gpu[name].item() == pytest.approx(value.item(), rel=1e-2, abs=2e-3), name
