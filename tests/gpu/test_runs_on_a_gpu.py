"""Whole runs of `train.py` on a GPU: resumed, tested on a CPU, compiled, on two processes, without waiting for it."""

import contextlib
import os
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

import lightning as L
import pytest
import torch

import train
from tests.gpu.device import DEVICE, FLAGS, ON_A_GPU, difference
from tests.runs import ROOT, checkpoint, differences, parted_run, scalars, stop_at, undisturbed, words_of
from tests.two_processes import free_port

pytestmark = ON_A_GPU
SIX = ("mnist_mlp", "cifar10_fast", "sorting_encoder_decoder", "svhn_gan", "mnist_ddpm", "pusht")
STOP = 6  # of eight batches, within the second epoch
CLOSE = 1e-3  # weights of a resumed run, where a kernel does not repeat to the bit
WATCHED = (3, 8)  # batches, from the first one on to before the second one; logs are written at none of them


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_DATA", "")


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
    test = ["test", *words_of(config)[1:], "--ckpt_path", str(folder / "checkpoints/last.ckpt")]
    with contextlib.chdir(tmp_path):
        on_gpu, on_cpu = (
            train.main([*test, *words]).trainer.callback_metrics
            for words in (FLAGS, ["--trainer.accelerator", "cpu", "--trainer.devices", "1"])
        )
    assert on_gpu.keys() == on_cpu.keys()
    for name, value in on_cpu.items():
        assert on_gpu[name].item() == pytest.approx(value.item(), rel=1e-2, abs=2e-3), name


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


class SyncWatch(L.Callback):
    """Notes where a training step waits for the GPU, from one batch on to before another one.

    Writes a line for each place: the innermost lines of this project, of Lightning or of torch that led there.
    """

    def __init__(self, out: str):
        self.out, self.places, self._stack = out, [], contextlib.ExitStack()

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        first, last = WATCHED
        if batch_idx == first:
            self._stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("always")
            warnings.showwarning = self._note
            torch.set_warn_always(True)
            torch.cuda.set_sync_debug_mode("warn")
        elif batch_idx == last:
            torch.cuda.set_sync_debug_mode("default")
            torch.set_warn_always(False)
            self._stack.close()
            Path(self.out).write_text("\n".join(self.places))

    def _note(self, message, category, filename, lineno, file=None, line=None):
        if "synchronizing" in str(message):
            frames = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_stack()[:-1]]
            self.places.append(" < ".join(reversed(frames[-6:])))


@pytest.mark.parametrize("bar", ["false", "true"], ids=["alone", "with a progress bar"])
@pytest.mark.parametrize("config", SIX)
def test_no_step_waits_for_the_gpu(config, bar, tmp_path, record_property):
    """Between log points: five steps with all that the config's callbacks and the command line's own do."""
    out = tmp_path / "places.txt"
    given = ["--trainer.limit_train_batches", "10", "--trainer.max_epochs", "1", "--trainer.log_every_n_steps", "50"]
    watch = ["--trainer.callbacks+=tests.gpu.test_runs_on_a_gpu.SyncWatch", f"--trainer.callbacks.out={out}"]
    with contextlib.chdir(tmp_path):
        train.main(words_of(config, *FLAGS, *given, *watch, "--trainer.enable_progress_bar", bar))
    places = sorted(set(out.read_text().splitlines()))
    record_property("waits", str(places))
    assert not places, "\n".join(places)


def test_the_watch_sees_a_wait(tmp_path):
    """`.item()` of a tensor on the GPU is one."""
    watch = SyncWatch(str(tmp_path / "places.txt"))
    number = torch.ones(1, device=DEVICE)
    watch.on_train_batch_start(None, None, None, WATCHED[0])
    number.item()
    watch.on_train_batch_start(None, None, None, WATCHED[1])
    assert "test_the_watch_sees_a_wait" in (tmp_path / "places.txt").read_text()


class Batches(L.Callback):
    """Writes the batches that a run trains on, and the devices they are on before the module sees them."""

    def __init__(self, out: str):
        self.out, self.batches = out, []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.batches.append({name: tensor.detach().cpu().clone() for name, tensor in batch.items()})

    def on_train_end(self, trainer, module):
        torch.save(self.batches, self.out)


@pytest.mark.parametrize("config", ["mnist_mlp", "pusht", "sorting_encoder_decoder"])
def test_batches_do_not_depend_on_where_the_data_lie(config, tmp_path):
    seen = []
    for place in ("true", "false"):
        out = tmp_path / f"{place}.pt"
        watch = ["--trainer.callbacks+=tests.gpu.test_runs_on_a_gpu.Batches", f"--trainer.callbacks.out={out}"]
        with contextlib.chdir(tmp_path):
            train.main(words_of(config, *FLAGS, *watch, "--data.on_device", place, "--run", place))
        seen.append(torch.load(out))
    assert len(seen[0]) == len(seen[1]) == 8
    for ours, theirs in zip(*seen, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_two_processes_on_one_gpu(tmp_path):
    """By gloo, because NCCL refuses two processes on one device: as two nodes, whose one GPU is the same."""
    strategy = (
        "{class_path: lightning.pytorch.strategies.DDPStrategy, "
        "init_args: {process_group_backend: gloo, find_unused_parameters: true}}"
    )
    diary = f"[{{class_path: tests.two_processes.Diary, init_args: {{folder: {tmp_path}}}}}]"
    words = words_of("mnist_mlp", *FLAGS, "--trainer.num_nodes", "2", "--trainer.strategy", strategy)
    words += ["--trainer.callbacks", diary, "--trainer.limit_val_batches", "0"]
    port, processes = str(free_port()), []
    for rank in range(2):
        nodes = {"MASTER_ADDR": "localhost", "MASTER_PORT": port, "NODE_RANK": str(rank), "LOCAL_RANK": "0"}
        with (tmp_path / f"output-{rank}.txt").open("w") as output:
            processes.append(
                subprocess.Popen(
                    [sys.executable, str(ROOT / "train.py"), *words],
                    cwd=tmp_path,
                    env=os.environ | nodes | {"WORLD_SIZE": "2", "PYTHONPATH": str(ROOT)},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )
    try:
        codes = [process.wait(60) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0], [(tmp_path / f"output-{rank}.txt").read_text()[-1500:] for rank in range(2)]
    first, second = (torch.load(tmp_path / f"diary-{rank}.pt") for rank in range(2))
    assert {tensor.device.type for tensor in first["gradients"][0].values()} == {DEVICE}
    assert first["rows"] != second["rows"]
    for name, value in first["after"].items():
        assert torch.equal(value, second["after"][name])
